from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest
from prefect.blocks.abstract import CredentialsBlock, DatabaseBlock
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError

from prefect_cassandra.blocks import (
    CassandraCluster,
    CassandraCredentials,
    CassandraLockManager,
    CassandraResultStorage,
    CassandraTls,
)
from prefect_cassandra.driver.config import ClusterConfig, Login, RetryRules, Tls
from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from prefect.blocks.core import Block

SECRET = "correct horse battery"


@pytest.mark.parametrize("block", [CassandraCredentials, CassandraCluster, CassandraResultStorage])
class TestPrefectsOwnRules(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        raise NotImplementedError  # every case comes from the parametrisation above

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        # Prefect's own test downloads the picture; ours must pass without a network.
        assert str(block._logo_url).startswith("https://")


def cluster(**values: Any) -> CassandraCluster:
    return CassandraCluster(**{"contact_points": ["127.0.0.1"], **values})


def credentials() -> CassandraCredentials:
    return CassandraCredentials(username="app", password=SecretStr(SECRET))


def test_blocks_are_what_prefect_expects_of_credentials_and_databases() -> None:
    assert issubclass(CassandraCredentials, CredentialsBlock)
    assert issubclass(CassandraCluster, DatabaseBlock)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"username": "app"},
        {"password": SECRET},
        {"folder": "/secrets", "username": "app"},
        {"folder": "/secrets", "password": SECRET},
        {"folder": "/secrets", "username": "app", "password": SECRET},
    ],
)
def test_credentials_refuse_both_half_and_no_source(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="folder") as caught:
        CassandraCredentials.model_validate(values)
    assert SECRET not in str(caught.value)


def test_credentials_give_the_drivers_login() -> None:
    assert credentials().get_client() == Login(username="app", password=SECRET)
    folder = Path("/secrets")
    assert CassandraCredentials(folder=folder).get_client() == Login(folder=folder)


def test_secrets_stay_hidden_in_every_rendering() -> None:
    block = cluster(credentials=credentials())
    shown = [repr(block), str(block), str(block.model_dump()), block.model_dump_json()]
    shown += [repr(block.config()), repr(block.credentials), str(block.config())]
    assert not any(SECRET in text for text in shown)


@pytest.mark.parametrize("point", ["db:9042", "10.0.0.1:9042", "[::1]:9042", "[::1]", " ", ""])
def test_contact_points_refuse_ports_and_empty_names(point: str) -> None:
    with pytest.raises(ValidationError, match=r"carries a port|is empty"):
        cluster(contact_points=[point])


@pytest.mark.parametrize("point", ["db", "db.example", "10.0.0.1", "::1", "fe80::1"])
def test_contact_points_take_names_and_addresses(point: str) -> None:
    assert cluster(contact_points=[point]).config().contact_points == (point,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"contact_points": []}, "at least one contact point"),
        ({"secure_connect_bundle": "b.zip"}, "excludes `contact_points`"),
        ({"contact_points": [], "secure_connect_bundle": "b.zip", "tls": {}}, "excludes"),
        ({"consistency": "QUORAM"}, "'LOCAL_QUORUM'"),
        ({"serial_consistency": "QUORUM"}, "'LOCAL_SERIAL'"),
        ({"keyspace": "no-dash"}, "no keyspace name"),
        ({"keyspace": "x" * 49}, "at most 48"),
        ({"keyspace": ""}, "no keyspace name"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"tls": {"cert_file": "c.pem"}}, "go together"),
        ({"tls": {"ca": "c.pem"}}, "not permitted"),
    ],
)
def test_cluster_refuses_values_that_cannot_work(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        cluster(**values)


def test_config_hands_every_field_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CONNECT_TIMEOUT": 3, "RETRY_ATTEMPTS": 2, "RETRY_BACKOFF": 0.5}.items():
        monkeypatch.setenv(f"PREFECT_INTEGRATIONS_CASSANDRA_DRIVER_{name}", str(value))
    block = cluster(
        contact_points=["a", "b"],
        port=19042,
        local_datacenter="dc1",
        consistency="QUORUM",
        serial_consistency="LOCAL_SERIAL",
        credentials=credentials(),
        tls=CassandraTls(ca_file=Path("ca.pem"), verify_host=False, server_name="node"),
        request_timeout=7,
    )
    assert block.config() == ClusterConfig(
        contact_points=("a", "b"),
        port=19042,
        local_datacenter="dc1",
        consistency="QUORUM",
        serial_consistency="LOCAL_SERIAL",
        login=Login(username="app", password=SECRET),
        tls=Tls(ca_file=Path("ca.pem"), verify_host=False, server_name="node"),
        request_timeout=7.0,
        connect_timeout=3.0,
        retry=RetryRules(attempts=2, backoff=0.5),
    )


def test_config_takes_the_timeout_from_the_settings_when_the_block_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_CASSANDRA_DRIVER_REQUEST_TIMEOUT", "33")
    assert cluster().config().request_timeout == 33


def test_config_of_a_bundle_has_no_contact_points() -> None:
    block = CassandraCluster(secure_connect_bundle=Path("bundle.zip"))
    assert block.config().contact_points == ()
    assert block.config().secure_connect_bundle == Path("bundle.zip")


@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_cluster_survives_pickling_without_its_cursors(library: Any) -> None:
    block = cluster(credentials=credentials())
    block._cursors.put("key", iter([1]))
    revived = library.loads(library.dumps(block))
    assert revived == block
    assert revived.config() == block.config()
    assert revived._cursors.take("key") is None


def test_cluster_can_be_copied_while_a_cursor_is_open() -> None:
    block = cluster()
    block._cursors.put("key", (n for n in range(3)))
    assert copy.deepcopy(block) == block
    assert next(block._cursors.take("key")) == 0


def test_cursors_forget_the_oldest_beyond_sixteen() -> None:
    cursors = cluster()._cursors
    for number in range(17):
        cursors.put(number, number)
    assert cursors.take(0) is None
    assert cursors.take(16) == 16
    assert cursors.take(16) is None, "a place is handed out once"


class _Answer:
    """Stands in for a session's answer: what is under test is the keeping of places."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Any:
        return ({"n": n} for n in range(self.count))

    async def __aiter__(self) -> Any:
        for row in self:
            yield row


class _Session:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def execute(self, operation: str, parameters: Any = None, **kwargs: Any) -> _Answer:
        self.calls.append((operation, parameters, kwargs))
        return _Answer(5)

    def connect(self) -> None:
        self.connected = True

    def close(self) -> None:
        pytest.fail("other blocks may be using the session")

    async def aexecute(self, *args: Any, **kwargs: Any) -> _Answer:
        return self.execute(*args, **kwargs)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> _Session:
    fake = _Session()
    monkeypatch.setattr(CassandraCluster, "session", lambda _self: fake)
    return fake


def test_fetch_many_goes_on_where_it_stopped_and_then_starts_again(session: _Session) -> None:
    block = cluster()
    seen = [block.fetch_many("SELECT", [1], size=2) for _ in range(5)]
    assert seen == [[(0,), (1,)], [(2,), (3,)], [(4,)], [], [(0,), (1,)]]
    assert len(session.calls) == 2


async def test_afetch_many_goes_on_where_it_stopped_and_then_starts_again(
    session: _Session,
) -> None:
    block = cluster()
    seen = [await block.afetch_many("SELECT", [1], size=2) for _ in range(5)]
    assert seen == [[(0,), (1,)], [(2,), (3,)], [(4,)], [], [(0,), (1,)]]
    assert len(session.calls) == 2


def test_fetch_many_keeps_places_apart_by_parameters(session: _Session) -> None:
    block = cluster()
    block.fetch_many("SELECT", [1], size=2)
    assert block.fetch_many("SELECT", [2], size=1) == [(0,)]
    assert block.fetch_many("SELECT", [1]) == [(2,)], "one row when no size is given"
    assert len(session.calls) == 2


@pytest.mark.usefixtures("session")
def test_fetch_many_starts_again_after_reset_cursors() -> None:
    block = cluster()
    block.fetch_many("SELECT", size=2)
    block.reset_cursors()
    assert block.fetch_many("SELECT", size=1) == [(0,)]


def test_leaving_a_with_block_forgets_cursors_and_keeps_the_session(session: _Session) -> None:
    with cluster() as block:
        block.fetch_many("SELECT", size=2)
    assert block._cursors.take(("blocking", "SELECT", None, {})) is None
    assert session.connected


@pytest.mark.parametrize("days", [0, -1, 7001])
def test_a_result_storage_refuses_a_retention_cassandra_cannot_keep(days: float) -> None:
    with pytest.raises(ValidationError, match="retention_days"):
        CassandraResultStorage(cluster=cluster(), retention_days=days)


@pytest.mark.parametrize(
    ("days", "seconds"), [(None, 0), (1, 86_400), (0.5, 43_200), (1e-9, 1), (7000, 604_800_000)]
)
def test_a_retention_in_days_becomes_a_ttl_in_seconds(days: float | None, seconds: int) -> None:
    storage = CassandraResultStorage(cluster=cluster(), retention_days=days)
    assert storage._results().ttl == seconds


def test_state_asks_all_datacenters_whatever_the_block_says() -> None:
    block = cluster(consistency="ONE", serial_consistency="LOCAL_SERIAL")
    config = CassandraResultStorage(cluster=block)._results().session.config
    assert (config.consistency, config.serial_consistency) == ("QUORUM", "SERIAL")


def test_lock_managers_are_equal_by_their_values_and_travel() -> None:
    locks = CassandraLockManager(cluster(), lease=5)
    assert locks == CassandraLockManager(cluster(), lease=5)
    assert locks != CassandraLockManager(cluster(), lease=6)
    assert locks != CassandraLockManager("prefect-state", lease=5)
    assert pickle.loads(pickle.dumps(locks)) == locks  # noqa: S301 -- our own bytes
    assert len({locks, CassandraLockManager(cluster(), lease=5)}) == 1


def test_a_lease_that_cannot_be_renewed_in_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 s"):
        CassandraLockManager(cluster(), lease=0.5)
