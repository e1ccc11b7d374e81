"""One of three nodes is killed or stopped while rows are written at QUORUM.

The rule under test: what was acknowledged is there, and what was reported as not applied is not.
Anything else must have been reported as an unknown outcome.
"""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.driver.config import RetryRules
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import NotAppliedError, OutcomeUnknownError, UnreachableError
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.local.cassandra import Cassandra, CassandraConfig
from prefect_cassandra.schema import apply
from prefect_cassandra.settings import LocalSettings
from prefect_cassandra.writes import stamped
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from support.ports import free_ports
from support.schema import Ground
from support.stamped_loader import rows
from support.stamps import WHO
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

INSERT = "INSERT INTO ring.rows (id, value) VALUES (?, ?)"
WRITERS = 4


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    data: Path = tmp_path_factory.mktemp("ring")
    addresses = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    cql, storage, jmx, *_ = free_ports(5, addresses)
    config = CassandraConfig(
        data_folder=data,
        cache_folder=LocalSettings().cache_folder,
        nodes=3,
        cql_port=cql,
        storage_port=storage,
        jmx_port=jmx,
        heap="256M",
    )
    with Cassandra(config) as cassandra:
        session = Session(cassandra.cluster_config())
        session.execute(
            "CREATE KEYSPACE ring WITH replication = "
            "{'class': 'NetworkTopologyStrategy', 'dc1': 3}",
            timeout=60,
        )
        session.execute("CREATE TABLE ring.rows (id int PRIMARY KEY, value int)", timeout=60)
        session.close()
        yield cassandra


@dataclass
class Outcomes:
    """What the writers were told, by row."""

    acknowledged: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    not_applied: set[int] = field(default_factory=set)
    unexpected: list[BaseException] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.acknowledged) + len(self.unknown) + len(self.not_applied)


class Writers:
    """Writes rows one by one from a few threads until told to stop."""

    def __init__(self, session: Session, first: int, *, idempotent: bool) -> None:
        self.outcomes = Outcomes()
        self._session = session
        self._idempotent = idempotent
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(range(first + n, first + 10**6, WRITERS),))
            for n in range(WRITERS)
        ]

    def __enter__(self) -> Outcomes:
        for thread in self._threads:
            thread.start()
        return self.outcomes

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, rows: range) -> None:
        for row in rows:
            if self._stop.is_set():
                return
            try:
                self._session.execute(
                    INSERT,
                    [row, row],
                    consistency="QUORUM",
                    idempotent=self._idempotent,
                    timeout=3,
                )
                self.outcomes.acknowledged.add(row)
            except OutcomeUnknownError:
                self.outcomes.unknown.add(row)
            except (NotAppliedError, UnreachableError):
                self.outcomes.not_applied.add(row)
            except BaseException as error:  # noqa: BLE001 -- reported by the test's own thread
                self.outcomes.unexpected.append(error)
                return


def check(ring: Cassandra, outcomes: Outcomes) -> None:
    """Compare what was reported with what all three replicas hold."""
    assert not outcomes.unexpected
    session = Session(ring.cluster_config())
    # Reading at ALL settles every row: hints still under way can change nothing a quorum has seen.
    held = {
        row["id"]
        for row in session.execute(
            "SELECT id FROM ring.rows", consistency="ALL", timeout=60, fetch_size=1000
        )
    }
    session.close()
    assert outcomes.acknowledged - held == set(), "acknowledged and lost"
    assert outcomes.not_applied & held == set(), "reported as not applied and there all the same"


def up_nodes(ring: Cassandra) -> int:
    """Count the nodes that the first one takes for alive."""
    lines = ring.nodes[0].nodetool("status").stdout.splitlines()
    return sum(line.startswith("UN") for line in lines)


def can_log_in(ring: Cassandra, address: str) -> bool:
    config = replace(ring.cluster_config(), contact_points=(address,))
    with closing(Session(config)) as session:
        return session.execute("SELECT release_version FROM system.local").one() is not None


def test_every_node_keeps_the_logins(ring: Cassandra) -> None:
    with closing(Session(ring.cluster_config())) as session:
        auth = session.execute(
            "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'system_auth'"
        ).one()
    assert auth is not None
    assert auth["replication"]["dc1"] == "3"
    assert up_nodes(ring) == 3


@pytest.mark.parametrize("idempotent", [True, False])
def test_no_acknowledged_write_is_lost_when_a_node_is_killed(
    ring: Cassandra, *, idempotent: bool
) -> None:
    config = replace(ring.cluster_config(), retry=RetryRules(attempts=5, backoff=0.05))
    session = Session(config)
    victim = ring.nodes[1]
    with Writers(session, 10**6 * (1 + idempotent), idempotent=idempotent) as outcomes:
        eventually(lambda: len(outcomes) > 200, within=60)
        victim.signal(signal.SIGKILL)
        killed_at = len(outcomes)
        eventually(lambda: len(outcomes) > killed_at + 500, within=60)
    victim.kill()
    # A login that only one node knew would now fail for a third of the connections.
    assert can_log_in(ring, "127.0.0.3")
    victim.start()
    victim.wait_ready(120)
    eventually(lambda: up_nodes(ring) == 3, within=120)
    session.close()
    check(ring, outcomes)
    assert len(outcomes.acknowledged) > 600
    if idempotent:
        # Repeats at the same timestamp find the two nodes that are left.
        assert not outcomes.unknown
        assert not outcomes.not_applied


def test_no_acknowledged_write_is_lost_when_a_node_stops_answering(ring: Cassandra) -> None:
    session = Session(ring.cluster_config())
    victim = ring.nodes[2]
    with Writers(session, 9 * 10**6, idempotent=False) as outcomes:
        eventually(lambda: len(outcomes) > 200, within=60)
        victim.signal(signal.SIGSTOP)
        try:
            # Its sockets stay open, so only time tells: some requests wait for it and run out.
            eventually(lambda: len(outcomes.unknown) > 2, within=60)
            stopped_at = len(outcomes.acknowledged)
            eventually(lambda: len(outcomes.acknowledged) > stopped_at + 100, within=90)
        finally:
            victim.signal(signal.SIGCONT)
    eventually(lambda: up_nodes(ring) == 3, within=120)
    session.close()
    check(ring, outcomes)


def test_a_stamped_load_goes_on_when_a_node_is_killed(
    ring: Cassandra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamped, "_MOST_ROWS", CHUNK_ROWS)
    chunks, victim = 6, ring.nodes[1]
    with closing(Session(ring.cluster_config())) as superuser:
        ground = Ground.make(ring.cluster_config(), superuser, tmp_path, copies=3)
        table = f"{ground.keyspace}.t"
        create = f"CREATE TABLE IF NOT EXISTS {table} (p int, k int, v text, PRIMARY KEY (p, k));"
        ground.write("0001_table", text=f"{create}\n")
        apply(ground.config, ground.installation)

    def batches() -> Iterator[pa.Table]:
        for number in range(chunks):
            if number == chunks // 2:
                victim.signal(signal.SIGKILL)
            yield rows(number * CHUNK_ROWS, (number + 1) * CHUNK_ROWS)

    kept = LoadOptions(stamped=stamped.Stamped("killed", WHO))
    with closing(Session(ground.role("flow"))) as session:
        assert load(session, table, batches, kept).rows == chunks * CHUNK_ROWS
        victim.kill()
        victim.start()
        victim.wait_ready(120)
        eventually(lambda: up_nodes(ring) == 3, within=120)
        (block,) = CassandraLoads(session).blocks(table, "killed")
        query = f"SELECT k, v, WRITETIME(v) AS at FROM {table}"  # noqa: S608 -- our own
        found = {
            row["k"]: (row["v"], row["at"])
            for row in session.execute(query, consistency="ALL", timeout=60, fetch_size=1000)
        }
        assert found == {
            number: (f"value {number}", block.slot(number // CHUNK_ROWS))
            for number in range(chunks * CHUNK_ROWS)
        }
        assert block.state == "DONE"
        assert load(session, table, rows(0, chunks * CHUNK_ROWS), kept).rows == 0
