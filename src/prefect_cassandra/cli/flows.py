"""`prefect-cassandra flows`: new code for the flows of a cluster, without touching the release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="flows", help="Build, push and register the flows of a cluster.")

Root = Annotated[Path, Parameter(help="Folder of the project.")]
Registry = Annotated[
    str, Parameter(help="Registry and path to push to; without it the image goes into kind.")
]


@app.command
def build(*, root: Root = Path(), registry: Registry = "") -> None:
    """Build the platform image and the flow image, unless they exist, and print their names.

    With a registry they are pushed as well, and named by digest. A tag is made of the commit and of
    all files the image is built from.
    """
    from prefect_cassandra.cli.output import data, tell
    from prefect_cassandra.kube import images

    for image in images.build(root, tell, registry):
        there = images.push(image, tell) if registry else image
        data().print(there.reference)


@app.command
def push(
    *,
    root: Root = Path(),
    registry: Registry = "",
    release: Annotated[str, Parameter(help="Name of the Helm release.")] = "pc",
    namespace: Annotated[str, Parameter(help="Namespace of the release.")] = "prefect",
    context: Annotated[
        str,
        Parameter(
            help="Context of the kubeconfig [default: kind's, or with --registry the current one]."
        ),
    ] = "",
) -> None:
    """Build the flow image, bring it to the cluster, migrate the schema, register the deployments.

    Runs that are under way go on with the image they have.
    """
    from prefect_cassandra.cli.output import data, tell
    from prefect_cassandra.kube import cluster
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.kube.push import push as push_flows

    kind = "" if registry else cluster.cluster_name(root)
    target = Release(release, namespace, context or (cluster.context_of(kind) if kind else ""))
    done = push_flows(root, target, tell, registry=registry, cluster=kind)
    console = data()
    console.print(f"Image: {done.image.reference}")
    console.print(f"Deployments: {', '.join(done.deployments)}")
