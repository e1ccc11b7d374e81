"""`prefect-cassandra flows`: new code for the flows of a cluster, without touching the release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.where import Where

app = App(name="flows", help="Build, push and register the flows of a cluster, and go back.")

Root = Annotated[Path, Parameter(help="Folder of the project.")]
Registry = Annotated[
    str, Parameter(help="Registry and path to push to; without it the image goes into kind.")
]
PythonImage = Annotated[
    str,
    Parameter(
        help="Base image, best by its digest [default: the one the Dockerfiles name].",
        env_var="PYTHON_IMAGE",
    ),
]
Deployment = Annotated[str, Parameter(help="flow/deployment, or the last part alone.")]


@app.command
def build(
    *,
    root: Root = Path(),
    registry: Registry = "",
    python_image: PythonImage = "",
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
def push(  # noqa: PLR0913 -- an option each
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
    python_image: PythonImage = "",
) -> None:
    """Build the flow image, bring it to the cluster, migrate the schema, register the deployments.

    Each deployment gets a new version, which the ledger keeps. Runs that are under way go on with
    the image they have.
    """
    from prefect_cassandra.cli.output import data, tell
    from prefect_cassandra.kube import cluster
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.kube.push import push as push_flows

    kind = "" if registry else cluster.cluster_name(root)
    target = Release(release, namespace, context or (cluster.context_of(kind) if kind else ""))
    done = push_flows(
        root, target, tell, registry=registry, cluster=kind, python_image=python_image
    )
    console = data()
    console.print(f"Image: {done.image.reference}")
    for version in done.versions:
        console.print(f"{version.deployment}: version {version.number}, {version.label}")


@app.command
def history(
    deployment: Deployment = "",
    /,
    *,
    where: Where = Where(),
    output: Annotated[Literal["table", "json"], Parameter(help="For people or programs.")] = (
        "table"
    ),
) -> None:
    """Show the versions of a deployment, or without one what each deployment has in use.

    For each version: the image, the commit, who made it and when, and where it was taken from when
    it is a rollback or a promotion.
    """
    from prefect_cassandra.cli.flows_output import show_history
    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.kube.versions import history as history_of

    show_history(history_of(where.found(), deployment, tell), output)


@app.command
def rollback(
    deployment: Deployment,
    /,
    *,
    to: Annotated[
        int | None, Parameter(help="Version to go back to [default: the one before].")
    ] = None,
    where: Where = Where(),
    root: Root = Path(),
) -> None:
    """Put an earlier version of a deployment in use again: its definition and its image.

    It becomes a new version, and no Helm release is touched. The schema stays as it is: migrations
    only add. Runs that are under way go on with the image they have.
    """
    from prefect_cassandra.cli.flows_output import show_restored
    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.kube.restoring import Wanted
    from prefect_cassandra.kube.restoring import rollback as roll_back

    show_restored(roll_back(root, where.found(), Wanted(deployment, to), tell))


@app.command
def promote(  # noqa: PLR0913 -- options, each with a default
    deployment: Deployment,
    /,
    *,
    version: Annotated[
        int | None, Parameter(help="Version to take [default: the one in use].")
    ] = None,
    to_release: Annotated[str, Parameter(help="Release that gets it [default: same name].")] = "",
    to_namespace: Annotated[str, Parameter(help="Its namespace [default: the same].")] = "",
    to_context: Annotated[str, Parameter(help="Its context [default: the same].")] = "",
    where: Where = Where(),
    root: Root = Path(),
) -> None:
    """Bring a version of a deployment to another release, with the image it has.

    The other release gets the migrations of the image, then the deployment as a new version. The
    image has to be where its cluster can pull it.
    """
    from prefect_cassandra.cli.flows_output import show_restored
    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.kube.restoring import Wanted
    from prefect_cassandra.kube.restoring import promote as bring

    source = where.found()
    target = Release(
        to_release or source.name,
        to_namespace or source.namespace,
        to_context or source.context,
    )
    show_restored(bring(root, source, target, Wanted(deployment, version), tell))
