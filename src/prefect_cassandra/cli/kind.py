"""`prefect-cassandra kind`: the whole platform on a Kubernetes cluster of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="kind", help="The whole platform on a kind cluster of this machine.")

Root = Annotated[Path, Parameter(help="Folder of the project.")]
NodeImage = Annotated[
    str, Parameter(help="Image of kind's node [default: kind's own].", env_var="KIND_NODE_IMAGE")
]


@app.command
def up(*, root: Root = Path(), node_image: NodeImage = "") -> None:
    """Make the kind cluster, unless it is there."""
    from prefect_cassandra.cli.output import messages, tell
    from prefect_cassandra.kube import cluster

    name = cluster.up(root, tell, node_image)
    messages().print(f"kubectl --context {cluster.context_of(name)} get nodes")


@app.command
def demo(
    *,
    root: Root = Path(),
    node_image: NodeImage = "",
    release: Annotated[str, Parameter(help="Name of the Helm release.")] = "pc",
    namespace: Annotated[str, Parameter(help="Namespace of the release.")] = "prefect",
) -> int:
    """Build and load the images, install the chart, run the flights as a Job, and count.

    What is there already is kept, so a repeat is quick. Exit code 0 when every row of the source is
    in Cassandra, 1 when a count differs.
    """
    from prefect_cassandra.cli.demo import show_result
    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.kube.demo import KindDemo, perform

    result = perform(KindDemo(root, node_image, release, namespace), tell)
    show_result(result)
    return int(not result.is_exact)


@app.command
def down(*, root: Root = Path()) -> None:
    """Delete the kind cluster and everything in it."""
    from prefect_cassandra.cli.output import messages, tell
    from prefect_cassandra.kube import cluster

    if not cluster.down(root, tell):
        messages().print("There is no such cluster.")
