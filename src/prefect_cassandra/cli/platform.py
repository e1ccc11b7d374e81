"""`prefect-cassandra platform`: the programs that the chart runs in the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 -- cyclopts resolves annotations when it parses
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="platform", help="Programs that the chart runs in the cluster.")


@app.command
def worker(
    *,
    pool: Annotated[str, Parameter(help="Work pool to take runs from.")] = "cassandra",
    host: Annotated[str, Parameter(help="Address of the health server.")] = "0.0.0.0",  # noqa: S104 -- the kubelet asks from outside the pod
    port: Annotated[int, Parameter(help="Port of the health server, path /health.")] = 8080,
    drain: Annotated[
        float, Parameter(help="Seconds that begun Jobs get to be made after SIGTERM.")
    ] = 20.0,
) -> None:
    """Wait until the work pool exists, then make a Kubernetes Job for each run that is due.

    SIGTERM ends it: no more runs are taken, and Jobs that were begun are made.
    """
    from prefect_cassandra.kube.worker import run

    run(pool, host=host, port=port, drain=drain, tell=_say)


@app.command(name="work-pool")
def work_pool(
    *,
    template: Annotated[Path, Parameter(help="Base job template, JSON.")],
    pool: Annotated[Path, Parameter(help="Name and queues of the pool, JSON.")],
    timeout: Annotated[float, Parameter(help="Seconds to wait for the server.")] = 300.0,
) -> None:
    """Make the work pool and its queues what two files say. Safe to repeat.

    Prints what it changed, and says so where somebody else had changed the template.
    """
    from prefect_cassandra.kube.pool import read_wanted
    from prefect_cassandra.kube.pool_server import ensure

    wanted = read_wanted(template, pool)
    changes = ensure(wanted, timeout=timeout, tell=_say)
    for change in changes:
        _say(f"{'drift: ' if change.is_drift else ''}{change.text}")
    if not changes:
        _say(f"work pool {wanted.name} is as it should be")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The Cassandra of the release, or one that somebody else keeps, and who rules it."""

    contact_points: Annotated[
        tuple[str, ...], Parameter(help="Names or addresses of nodes.", consume_multiple=True)
    ]
    port: Annotated[int, Parameter(help="CQL port of the nodes.")] = 9042
    local_datacenter: Annotated[str | None, Parameter(help="Datacenter to talk to.")] = None
    ca_file: Annotated[
        Path | None, Parameter(help="Certificates to trust (PEM); encrypts the connection.")
    ] = None
    tls: Annotated[
        bool, Parameter(negative=(), help="Encrypt, and trust the public authorities.")
    ] = False
    superuser: Annotated[Path, Parameter(help="Folder with the superuser's login.")]
    nodes: Annotated[
        int, Parameter(help="Nodes of the cluster; 0 for one that somebody else keeps.")
    ] = 0


@app.command
def bootstrap(
    *,
    cluster: Annotated[Cluster, Parameter(name="*")],
    keyspaces: Annotated[Path, Parameter(help="The keyspaces of the installation.")],
    environment: Annotated[str, Parameter(help="Environment of that file.")],
    logins: Annotated[Path, Parameter(help="Folder with a folder for each role's login.")],
    timeout: Annotated[float, Parameter(help="Seconds to wait for the nodes.")] = 600.0,
) -> None:
    """Make keyspaces and roles, and prove that nobody else gets in. Safe to repeat.

    In a new cluster the superuser is made and the default login is taken away first.
    """
    from prefect_cassandra.driver.config import ClusterConfig, Login, Tls
    from prefect_cassandra.schema import Installation, load_keyspaces
    from prefect_cassandra.schema import bootstrap as make_ours

    tls = None
    if cluster.ca_file:
        # A pod's address is in no certificate; who signed it is what is checked.
        tls = Tls(ca_file=cluster.ca_file, verify_host=False)
    elif cluster.tls:
        # The public authorities sign for anybody, so there the name counts.
        tls = Tls(server_name=cluster.contact_points[0])
    config = ClusterConfig(
        contact_points=cluster.contact_points,
        port=cluster.port,
        local_datacenter=cluster.local_datacenter,
        login=Login(folder=cluster.superuser),
        tls=tls,
    )
    installation = Installation(load_keyspaces(keyspaces), environment, logins)
    done = make_ours(config, installation, nodes=cluster.nodes, timeout=timeout, progress=_say)
    for note in done.notes:
        _say(f"note: {note}")
    _say(f"{len(done.steps)} statement(s) in {done.seconds:.1f} s")


@app.command(name="wait-database")
def wait_database(*, timeout: Annotated[float, Parameter(help="Seconds to wait.")] = 600.0) -> None:
    """Return when the Prefect server's database has the tables of this version of Prefect.

    Exit code 4 when that was not in time; the message says what the database has instead.
    """
    from prefect_cassandra.kube.database import run

    run(timeout, _say)


def _say(text: str) -> None:
    """Print a line of a container's log: at once, and without a terminal's width."""
    print(text, flush=True)  # noqa: T201 -- a log has no colours
