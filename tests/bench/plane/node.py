"""The node that everybody is measured on: optimised code, Cassandra's own collector, 2 GiB."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import tuple_factory

from bench.plane.data import KEYSPACE, Content
from bench.plane.meter import cpu_of
from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.local.cassandra import Cassandra, CassandraConfig
from prefect_cassandra.local.config import DATACENTER
from prefect_cassandra.local.guard import sweep
from prefect_cassandra.local.plan import cache_folder
from support.ports import free_ports

if TYPE_CHECKING:
    from bench.plane.data import Dataset

CONSISTENCY = "LOCAL_QUORUM"
_TIMEOUT = 120.0
_RANGES, _AT_A_TIME = 64, 2
_END_GRACE = 5.0


@dataclass(frozen=True)
class Access:
    """How a client in another process connects.

    Args:
        host: Address of the node.
        port: CQL port.
        login: Folder with `username` and `password`.
    """

    host: str
    port: int
    login: str

    @property
    def username(self) -> str:
        """Return who logs in."""
        return (Path(self.login) / "username").read_text(encoding="utf-8")

    @property
    def password(self) -> str:
        """Return that user's password."""
        return (Path(self.login) / "password").read_text(encoding="utf-8")

    def config(self) -> ClusterConfig:
        """Return the same for a session of ours."""
        return ClusterConfig(
            (self.host,), self.port, consistency=CONSISTENCY, login=Login(folder=Path(self.login))
        )

    def cluster(self) -> Any:
        """Return the driver's cluster, set up the way its documentation does."""
        profile = ExecutionProfile(
            load_balancing_policy=RoundRobinPolicy(),  # one node: nothing to choose
            request_timeout=_TIMEOUT,
            row_factory=tuple_factory,
            consistency_level=6,  # LOCAL_QUORUM
        )
        return Cluster(
            [self.host],
            port=self.port,
            protocol_version=5,
            auth_provider=PlainTextAuthProvider(self.username, self.password),
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )

    def dumps(self) -> str:
        """Return all this as an argument for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read what `dumps` wrote."""
        return cls(**json.loads(text))


class BenchNode:
    """One node with everything in `folder`; a context manager that ends it.

    Args:
        folder: Made anew each time.
    """

    def __init__(self, folder: Path) -> None:
        sweep(folder, _END_GRACE)
        cql, storage, jmx = free_ports(3)
        config = CassandraConfig(
            data_folder=folder,
            cache_folder=cache_folder(),
            cql_port=cql,
            storage_port=storage,
            jmx_port=jmx,
            heap="2G",
            compiler="c2",
            collector="g1",
            class_data=False,
        )
        self._cassandra = Cassandra(config)
        self.access = Access("127.0.0.1", cql, str(self._cassandra.superuser))
        self.datacenter = DATACENTER

    def __enter__(self) -> Self:
        self._cassandra.start()
        try:
            self._cluster = self.access.cluster()
            self.session = self._cluster.connect()
            self._make_keyspace()
        except BaseException:
            self._cassandra.kill()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._cluster.shutdown()
        self._cassandra.stop()

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        pid = self._cassandra.nodes[0].pid
        assert pid is not None
        return cpu_of(pid)

    def empty(self, dataset: Dataset) -> None:
        """Make the table if it is not there, and empty it."""
        self.session.execute(f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.{dataset.ddl}")
        self.session.execute(f"TRUNCATE {KEYSPACE}.{dataset.table}")

    def flush(self) -> None:
        """Put everything into files, so that a reader meets what readers meet."""
        self._cassandra.nodes[0].nodetool("flush", KEYSPACE)

    def content(self, dataset: Dataset, columns: list[str]) -> Content:
        """Read the whole table with the stock driver and add it up."""
        key = ", ".join(dataset.partition)
        wanted = "COUNT(*)" if dataset.counted else ", ".join(columns)
        query = self.session.prepare(
            f"SELECT {wanted} FROM {KEYSPACE}.{dataset.table} "  # noqa: S608
            f"WHERE token({key}) > ? AND token({key}) <= ?"
        )
        query.fetch_size = 500 if dataset.name == "wide" else 5000
        lowest, step = -(2**63), 2**64 // _RANGES
        bounds = [*(lowest + step * n for n in range(_RANGES)), 2**63 - 1]
        read = partial(self._count if dataset.counted else self._range, query)
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            return sum(threads.map(read, pairwise(bounds)), Content(0, 0))

    def _range(self, query: Any, bounds: tuple[int, int]) -> Content:
        return Content.of(self.session.execute(query, bounds))

    def _count(self, query: Any, bounds: tuple[int, int]) -> Content:
        return Content(self.session.execute(query, bounds).one()[0], 0)

    def _make_keyspace(self) -> None:
        self.session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
