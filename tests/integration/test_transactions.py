"""Loads inside of Prefect's transactions, on a real node and a real Prefect server."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task
from prefect.transactions import atransaction, transaction

from prefect_cassandra import aload_table, load_table
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import UndoneError
from prefect_cassandra.ledger.blocks import Provenance
from prefect_cassandra.ledger.repair import Mending
from prefect_cassandra.ledger.undoing import CassandraUndoings, Content
from prefect_cassandra.schema import apply
from prefect_cassandra.tasks.transactions import transaction_around
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.repairing import repair, verdicts
from prefect_cassandra.writes.stamped import Stamped
from prefect_cassandra.writes.transactional import keep, roll_back, sweep_replaced
from support.blocks import cluster_block
from support.prefect_server import DROPPED_SOCKETS, prefect_server  # noqa: F401 -- a fixture
from support.schema import Ground

if TYPE_CHECKING:
    from prefect_cassandra import CassandraCluster
    from prefect_cassandra.driver.session import Session

pytestmark = [pytest.mark.usefixtures("prefect_server"), DROPPED_SOCKETS]

_TABLES = (
    *("committed", "rolled_back", "asynchronous", "crashed", "twice", "nested", "replaced"),
    *("uncertain", "changed", "dropped", "retried"),
)
OLD = [{"k": 1, "v": "old"}, {"k": 2, "v": "old"}]
NEW = [{"k": 2, "v": "new"}, {"k": 3, "v": "new"}]


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("transactions"))
    made.write("0001_tables", *_TABLES)
    apply(made.config, made.installation)
    return made


@pytest.fixture
def cluster(ground: Ground) -> CassandraCluster:
    return cluster_block(ground.role("flow"), keyspace=ground.keyspace)


def values(cluster: CassandraCluster, table: str) -> dict[Any, Any]:
    return dict(cluster.fetch_all(f"SELECT k, v FROM {cluster.keyspace}.{table}"))


def owed(cluster: CassandraCluster, table: str) -> list[Any]:
    return CassandraUndoings(cluster.session()).owed(f"{cluster.keyspace}.{table}")


@task
def stands_in_one() -> bool:
    return transaction_around() is not None


@task
def asks_another() -> bool:
    return stands_in_one()


def test_only_a_transaction_that_somebody_opened_counts() -> None:
    # Prefect opens one for each task run, one inside of the other.
    assert transaction_around() is None

    @flow
    def work() -> list[bool]:
        found = [stands_in_one(), asks_another()]
        with transaction():
            found += [stands_in_one(), asks_another()]
        return found

    assert work() == [False, False, True, True]


def test_a_load_is_undone_with_its_transaction_and_kept_with_its_commit(
    cluster: CassandraCluster,
) -> None:
    @flow
    def work(table: str, *, fails: bool) -> None:
        load_table(cluster, table, OLD)
        with transaction():
            load_table(cluster, table, NEW)
            assert values(cluster, table) == {1: "old", 2: "new", 3: "new"}
            assert len(owed(cluster, table)) == 1
            if fails:
                raise ValueError("no commit")

    work("committed", fails=False)
    assert values(cluster, "committed") == {1: "old", 2: "new", 3: "new"}
    with pytest.raises(ValueError, match="no commit"):
        work("rolled_back", fails=True)
    assert values(cluster, "rolled_back") == {1: "old", 2: "old"}
    assert owed(cluster, "committed") == owed(cluster, "rolled_back") == []


async def test_an_asynchronous_transaction_is_one_too(cluster: CassandraCluster) -> None:
    @flow
    async def work() -> None:
        await aload_table(cluster, "asynchronous", OLD)
        async with atransaction():
            await aload_table(cluster, "asynchronous", NEW)
            raise ValueError("no commit")

    with pytest.raises(ValueError, match="no commit"):
        await work()
    assert values(cluster, "asynchronous") == {1: "old", 2: "old"}


def test_what_a_dead_run_left_uncommitted_is_undone_by_repair(
    ground: Ground, cluster: CassandraCluster
) -> None:
    table = f"{ground.keyspace}.crashed"
    session = shared_session(ground.role("flow"))
    load(session, table, OLD, LoadOptions(stamped=Stamped("first", Provenance(run="first"))))
    run = str(uuid.uuid4())
    kept = Stamped("load", Provenance(run=run), keep_images=timedelta(days=1), transactional=True)
    load(session, table, NEW, LoadOptions(stamped=kept))
    # Its process is gone, and with it Prefect's hooks.
    (alive,) = verdicts(session, lambda _: "alive", table)
    assert alive.mending is Mending.LEAVE
    assert repair(session, [alive]).reports == []
    dead = verdicts(session, lambda found: "dead" if found == run else "alive", table)
    (did,) = repair(session, dead).reports
    assert (did.rows_removed, did.cells_restored) == (1, 1)
    assert values(cluster, "crashed") == {1: "old", 2: "old"}
    assert verdicts(session, lambda _: "dead", table) == []


def rows(value: str, *keys: int) -> list[dict[str, Any]]:
    return [{"k": key, "v": value} for key in keys]


@pytest.mark.parametrize("table", ["twice", "nested"])
def test_loads_on_top_of_each_other_are_rolled_back_together(
    cluster: CassandraCluster, table: str
) -> None:
    @flow
    def work() -> None:
        load_table(cluster, table, OLD)
        with transaction():
            load_table(cluster, table, rows("a", 1, 2, 3))
            if table == "twice":
                load_table(cluster, table, rows("b", 2, 3, 4))
                raise ValueError("no commit")
            with transaction():
                load_table(cluster, table, rows("b", 2, 3, 4))
                raise ValueError("no commit")

    with pytest.raises(ValueError, match="no commit"):
        work()
    assert values(cluster, table) == {1: "old", 2: "old"}
    assert owed(cluster, table) == []


@pytest.mark.parametrize("fails", [True, False])
def test_what_a_load_replaces_stays_until_the_commit(
    cluster: CassandraCluster, *, fails: bool
) -> None:
    key = f"replaced {fails}"
    base = 10 if fails else 20

    @flow
    def work() -> None:
        load_table(cluster, "replaced", rows("one", base, base + 1), key=key)
        with transaction():
            new = rows("two", base + 1, base + 2)
            load_table(cluster, "replaced", new, key=key, replace=True)
            session = cluster.session()
            found = verdicts(session, lambda _: "alive", f"{cluster.keyspace}.replaced")
            assert {one.mending for one in found} == {Mending.LEAVE}
            assert base in values(cluster, "replaced")
            if fails:
                raise ValueError("no commit")

    if fails:
        with pytest.raises(ValueError, match="no commit"):
            work()
    else:
        work()
    here = {k: v for k, v in values(cluster, "replaced").items() if base <= k < base + 10}
    rolled_back = {base: "one", base + 1: "one"}
    assert here == (rolled_back if fails else {base + 1: "two", base + 2: "two"})
    assert owed(cluster, "replaced") == []


def test_a_commit_that_fails_behind_the_loads_undoes_them(cluster: CassandraCluster) -> None:
    def refuses(_transaction: Any) -> None:
        raise ValueError("not this one")

    @flow
    def work() -> None:
        load_table(cluster, "uncertain", OLD)
        with transaction() as outer:
            load_table(cluster, "uncertain", NEW)
            # Behind everything that the loads have put there by then.
            outer.on_commit_hooks.append(
                lambda found: found.on_commit_hooks.append(refuses),
            )

    work()
    assert values(cluster, "uncertain") == {1: "old", 2: "old"}
    assert owed(cluster, "uncertain") == []


@pytest.mark.parametrize("ends", ["rolled back", "committed", "dead"])
def test_other_content_in_a_second_try_of_a_transaction_ends_with_it(
    ground: Ground, cluster: CassandraCluster, ends: str
) -> None:
    table = f"{ground.keyspace}.changed"
    session = shared_session(ground.role("flow"))
    run, start = str(uuid.uuid4()), 10 * ["rolled back", "committed", "dead"].index(ends)
    load(session, table, rows("old", start), LoadOptions(stamped=Stamped(ends, Provenance())))

    def try_once(values: list[dict[str, Any]]) -> Stamped:
        who = Provenance(run=run)
        kept = Stamped(
            f"{ends} load",
            who,
            replace=True,
            keep_images=timedelta(days=1),
            transactional=True,
        )
        load(session, table, values, LoadOptions(stamped=kept))
        return kept

    first = try_once(rows("first", start, start + 1))  # and its process dies
    assert [one.generation for one in first.noted] == [1]
    # Not brought to its end, or it would be done and its transaction over.
    second = try_once(rows("second", start, start + 2))
    contents = dict.fromkeys(second.noted, run)
    if ends == "rolled back":
        roll_back(session, table, contents)
    elif ends == "committed":
        keep(session, table, contents)
        sweep_replaced(session, table, contents)
    else:
        repair(session, verdicts(session, lambda _: "dead", table))
    here = {k: v for k, v in values(cluster, "changed").items() if start <= k < start + 10}
    second_alone = {start: "second", start + 2: "second"}
    assert here == (second_alone if ends == "committed" else {start: "old"})
    assert owed(cluster, "changed") == []


def test_repair_goes_on_behind_a_table_in_which_it_cannot_undo(
    ground: Ground, cluster: CassandraCluster
) -> None:
    session = cluster.session()
    undoings = CassandraUndoings(session)
    key = uuid.uuid4().hex
    for name in ("dropped", "retried"):
        table = f"{ground.keyspace}.{name}"
        load(session, table, OLD, LoadOptions(stamped=Stamped(key, Provenance())))
        undoings.begin(Content(table, key, 1), "UNDO")
    decided = [one for one in verdicts(session, lambda _: "alive") if one.owed.content.key == key]
    ground.superuser.execute(f"ALTER TABLE {ground.keyspace}.dropped ADD l list<int>")
    session.table(ground.keyspace, "dropped", refresh=True)
    done = repair(session, decided)
    assert list(done.failures) == [f"{ground.keyspace}.dropped"]
    assert values(cluster, "retried") == {}
    ground.superuser.execute(f"DROP TABLE {ground.keyspace}.dropped")
    session.table(ground.keyspace, "retried", refresh=True)
    (verdict,) = verdicts(session, lambda _: "alive", f"{ground.keyspace}.dropped")
    assert verdict.mending is Mending.FORGET
    repair(session, [verdict])
    assert undoings.owed(f"{ground.keyspace}.dropped") == []


def test_a_load_in_a_transaction_that_was_rolled_back_already_is_refused(
    cluster: CassandraCluster,
) -> None:
    tries = []

    @task(retries=1)
    def loads_at_last() -> None:
        tries.append(len(tries))
        if len(tries) == 1:
            raise ValueError("the first time")
        load_table.fn(cluster, "retried", NEW)

    @flow
    def work() -> None:
        with transaction():
            load_table(cluster, "retried", OLD)
            loads_at_last()

    with pytest.raises(UndoneError, match="was rolled back already"):
        work()
    assert values(cluster, "retried") == {}
    assert owed(cluster, "retried") == []
