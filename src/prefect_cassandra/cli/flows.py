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
def build(
    *,
    root: Root = Path(),
    registry: Registry = "",
    python_image: Annotated[
        str,
        Parameter(
            help="Base image, best by its digest [default: the one the Dockerfiles name].",
            env_var="PYTHON_IMAGE",
        ),
    ] = "",
) -> None:
    """Build the platform image and the flow image, unless they exist, and print their names.

    With a registry they are pushed as well, and named by digest. A tag is made of the commit and of
    all files the image is built from. The tag of the version, which the chart asks for, is given to
    the first build that is pushed and never moved.
    """
    from importlib.metadata import version

    from prefect_cassandra.cli.output import data, tell
    from prefect_cassandra.kube import images, publishing

    built = images.build(root, tell, registry, python_image=python_image)
    for key, image in zip(("platform", "flows"), built, strict=True):
        if not registry:
            data().print(image.reference)
            continue
        there = publishing.publish(image, version("prefect-cassandra"), tell)
        data().print(there.image.reference)
        if not there.is_version:
            tell(publishing.advice(there, key))


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
