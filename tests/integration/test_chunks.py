"""Loads and their chunks in the ledger of a real node, with rows in a real table."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import ContentChangedError, NoStampsError
from prefect_cassandra.ledger.loads import LoadIdentity, StampedLoad
from prefect_cassandra.ledger.opening import clock_of, open_load
from prefect_cassandra.schema import apply
from support.loads import digest
from support.schema import Ground
from support.stamps import WHO

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_ROWS = 3
CONTENT = [f"value {n}" for n in range(10)]


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("chunks"))
    made.write("0001_tables", "t")
    apply(made.config, made.installation)
    return made


@pytest.fixture
def flow(ground: Ground) -> Session:
    return shared_session(ground.role("flow"))


@pytest.fixture
def identity(ground: Ground) -> LoadIdentity:
    return LoadIdentity(f"{ground.keyspace}.t", uuid.uuid4().hex, WHO)


class Counting(Session):
    """Counts the lightweight transactions."""

    transactions = 0

    def execute(self, cql: str, *arguments: Any, **options: Any) -> Any:
        self.transactions += " IF " in cql
        return super().execute(cql, *arguments, **options)


def send(
    session: Session, load: StampedLoad, content: Sequence[str], stop: int | None = None
) -> int:
    """Write row `n` of the content under key `n`, and stop before chunk `stop` if it is given."""
    first = number = 0
    while first < len(content):
        if number == stop:
            return first
        rows = load.recorded_rows(number) or load.chunk_rows
        values = content[first : first + rows]
        stamp = load.begin(number, first, len(values), digest(values))
        if stamp is not None:
            for place, value in enumerate(values, start=first):
                session.execute(
                    f"INSERT INTO {load.identity.table} (k, v) VALUES (?, ?)",  # noqa: S608 -- this test's own table
                    [place, value],
                    timestamp=stamp,
                )
            load.done(number)
        first, number = first + len(values), number + 1
    load.finish(number, first)
    return first


def stored(session: Session, table: str) -> dict[int, tuple[str, int]]:
    rows = session.execute(f"SELECT k, v, writetime(v) AS stamp FROM {table}").rows  # noqa: S608 -- as above
    return {row["k"]: (row["v"], row["stamp"]) for row in rows}


def test_every_cell_leads_to_its_block_and_chunk(flow: Session, identity: LoadIdentity) -> None:
    load = open_load(flow, identity, chunk_rows=CHUNK_ROWS, total_rows=len(CONTENT))
    send(flow, load, CONTENT)
    cells = stored(flow, identity.table)
    blocks = flow.execute(
        "SELECT * FROM prefect_ledger.load_blocks WHERE table_name = ? AND load_key = ?",
        [identity.table, identity.key],
    ).rows
    (block,) = blocks
    assert (block["state"], block["chunks"], block["rows"]) == ("DONE", 4, 10)
    assert block["length"] == 16
    chunks = flow.execute(
        "SELECT * FROM prefect_ledger.load_chunks WHERE table_name = ? AND start = ?",
        [identity.table, block["start"]],
    ).rows
    assert [(one["number"], one["first_row"], one["rows"]) for one in chunks] == [
        (0, 0, 3),
        (1, 3, 3),
        (2, 6, 3),
        (3, 9, 1),
    ]
    assert {(one["state"], one["run"], one["attempt"]) for one in chunks} == {
        ("DONE", WHO.run, WHO.attempt)
    }
    for key in range(len(CONTENT)):
        assert cells[key] == (CONTENT[key], chunks[key // CHUNK_ROWS]["slot"])


def test_a_load_costs_one_lightweight_transaction_and_its_retry_none(
    ground: Ground, identity: LoadIdentity
) -> None:
    with closing(Counting(ground.role("flow"))) as counting:
        # Another process has moved the clock before; this one meets it for the first time.
        load = open_load(counting, identity, chunk_rows=1)
        send(counting, load, CONTENT)
        assert counting.transactions == 1
        again = open_load(counting, identity, chunk_rows=1)
        send(counting, again, CONTENT)
        assert again.skipped_chunks == len(CONTENT)
        assert counting.transactions == 1


def test_an_interrupted_load_goes_on_in_another_process(
    ground: Ground, flow: Session, identity: LoadIdentity
) -> None:
    send(flow, open_load(flow, identity, chunk_rows=CHUNK_ROWS), CONTENT, stop=2)
    before = stored(flow, identity.table)
    with closing(Session(ground.role("flow"))) as other:
        again = open_load(other, identity, chunk_rows=7)
        assert send(other, again, CONTENT) == len(CONTENT)
    # The second chunk was written; that it is done would have been said with the third.
    assert (again.skipped_chunks, again.skipped_rows) == (1, 3)
    after = stored(flow, identity.table)
    assert {key: after[key] for key in range(6)} == {key: before[key] for key in range(6)}
    assert [after[key][0] for key in range(10)] == CONTENT


def test_changed_content_is_refused_or_written_whole(flow: Session, identity: LoadIdentity) -> None:
    send(flow, open_load(flow, identity, chunk_rows=CHUNK_ROWS), CONTENT)
    before = stored(flow, identity.table)
    changed = [*CONTENT[:4], "new", *CONTENT[5:]]
    load = open_load(flow, identity, chunk_rows=CHUNK_ROWS)
    with pytest.raises(ContentChangedError, match=f"the load '{identity.key}' into .* chunk 1"):
        send(flow, load, changed)
    assert stored(flow, identity.table) == before
    send(flow, load.replaced(), changed)
    after = stored(flow, identity.table)
    assert [after[key][0] for key in range(10)] == changed
    assert min(stamp for _, stamp in after.values()) > max(stamp for _, stamp in before.values())
    hours = flow.execute(
        "SELECT state, generation FROM prefect_ledger.stamp_blocks WHERE table_name = ? "
        "AND load_key = ? ALLOW FILTERING",
        [identity.table, identity.key],
    ).rows
    assert sorted((row["generation"], row["state"]) for row in hours) == [
        (1, "REPLACED"),
        (2, "DONE"),
    ]


def test_one_process_has_one_clock_for_a_table(flow: Session, identity: LoadIdentity) -> None:
    clock = clock_of(flow, identity.table)
    assert clock_of(flow, identity.table) is clock
    assert clock_of(flow, "other.table") is not clock


def test_a_cluster_without_a_ledger_says_so(
    ground: Ground, identity: LoadIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "prefect_cassandra.ledger.load_store._BLOCKS",
        "SELECT id FROM prefect_ledger.no_such_table WHERE table_name = ? AND load_key = ?",
    )
    session = shared_session(ground.config)
    with pytest.raises(NoStampsError, match="the cluster keeps no write stamps") as raised:
        open_load(session, identity, chunk_rows=CHUNK_ROWS)
    assert "schema apply" in raised.value.hint
