"""Statements with stamps on a real node: repeated, refused, deleted; and tables for claims."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from prefect_cassandra.driver.frames import routing_key
from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import (
    ClaimedTableError,
    DataError,
    NotRepeatableError,
    OutcomeUnknownError,
    UndoneError,
)
from prefect_cassandra.ledger.keys import filters_of, hash_key
from prefect_cassandra.ledger.loads import StampedLoad
from prefect_cassandra.ledger.statements import removals_of
from prefect_cassandra.ledger.store import CassandraClocks
from prefect_cassandra.ledger.undoing import CassandraUndoings
from prefect_cassandra.schema import apply
from prefect_cassandra.trail.verdict import Proof
from prefect_cassandra.trail.who import who_wrote
from prefect_cassandra.writes.claims import aclaim_row, claim_row
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.report import Claim
from prefect_cassandra.writes.stamped import Stamped
from prefect_cassandra.writes.statements import StampedStatement, awrite, write
from prefect_cassandra.writes.undo import undo_contents
from support.schema import Ground
from support.stamps import WHO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.writes.statements import Written

WINDOW = timedelta(days=2)
_TABLES = 30
_numbers = count()


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("said"))
    plain = "(p text, c int, v text, s text static, PRIMARY KEY (p, c))"
    tables = [
        f"CREATE TABLE IF NOT EXISTS {made.keyspace}.t{number} {plain};\n"
        for number in range(_TABLES)
    ]
    tables.append(
        f"CREATE TABLE IF NOT EXISTS {made.keyspace}.counted (p text PRIMARY KEY, n counter);\n"
    )
    tables.append(
        f"CREATE TABLE IF NOT EXISTS {made.keyspace}.measured "
        "(p text, c decimal, v text, PRIMARY KEY (p, c));\n"
    )
    made.write("0001_tables", text="".join(tables))
    apply(made.config, made.installation)
    return made


@dataclass
class Target:
    """A table that no other test uses, written with stamps."""

    session: Session
    table: str
    run: str

    def write(self, cql: str, *rows: Sequence[Any], run: str = "") -> Written:
        found = write(self.session, self.said(cql), rows or [()], self.wanted(run))
        assert found is not None
        return found

    def wanted(self, run: str = "") -> StampedStatement:
        return StampedStatement(lambda name: f"{run or self.run}/{name}", WHO, WINDOW)

    def said(self, cql: str) -> str:
        return cql.replace("{t}", self.table)

    def cells(self) -> dict[tuple[str, int], str]:
        rows = self.session.execute(f"SELECT p, c, v FROM {self.table}")
        return {(row["p"], row["c"]): row["v"] for row in rows}

    def stamps(self) -> set[int]:
        rows = self.session.execute(f"SELECT writetime(v) AS stamp FROM {self.table}")
        return {row["stamp"] for row in rows}

    def blocks(self) -> list[dict[str, Any]]:
        query = "SELECT * FROM prefect_ledger.stamp_blocks WHERE table_name = ? ALLOW FILTERING"
        rows = self.session.execute(query, [self.table]).rows
        return sorted(rows, key=lambda row: row["start"])


INSERT = "INSERT INTO {t} (p, c, v) VALUES (?, ?, ?)"


@pytest.fixture
def target(ground: Ground) -> Target:
    session = shared_session(ground.role("flow"))
    return Target(session, f"{ground.keyspace}.t{next(_numbers)}", uuid.uuid4().hex)


def test_a_statement_carries_the_stamp_of_its_own_block(target: Target) -> None:
    assert target.write(INSERT, ["a", 1, "one"]).rows == 1
    target.write("UPDATE {t} SET v = 'two' WHERE p = 'a' AND c = 2")
    target.write("BEGIN BATCH DELETE v FROM {t} WHERE p = 'a' AND c = 1 APPLY BATCH")
    assert target.cells() == {("a", 1): None, ("a", 2): "two"}
    blocks = target.blocks()
    assert [block["kind"] for block in blocks] == ["INSERT", "UPDATE", "BATCH"]
    assert target.stamps() == {blocks[1]["start"], None}
    assert {(block["state"], block["rows"], block["length"]) for block in blocks} == {
        ("DONE", 1, 4)
    }
    assert {(block["run"], block["task"], block["person"]) for block in blocks} == {
        (WHO.run, WHO.task, WHO.person)
    }


def test_a_repeat_of_the_same_call_leaves_later_writes_alone(target: Target) -> None:
    target.write(INSERT, ["a", 1, "early"])
    target.write(INSERT, ["a", 1, "late"])
    again = target.write(INSERT, ["a", 1, "early"])
    assert (again.rows, again.skipped) == (0, 1)
    assert target.cells() == {("a", 1): "late"}
    # Another run says the same on purpose, so it counts.
    assert target.write(INSERT, ["a", 1, "early"], run="another").rows == 1
    assert target.cells() == {("a", 1): "early"}
    assert len(target.blocks()) == 3


def test_a_call_that_broke_off_is_sent_again_at_the_same_stamps(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [["a", place, f"v{place}"] for place in range(20)]

    def cut_off(*_: Any) -> None:
        raise OutcomeUnknownError("the connection went")

    with monkeypatch.context() as patched:
        patched.setattr("prefect_cassandra.ledger.loads.StampedLoad.done", cut_off)
        with pytest.raises(OutcomeUnknownError):
            target.write(INSERT, *rows)
    before = target.stamps()
    target.write("DELETE FROM {t} WHERE p = 'a' AND c = 3")
    assert target.write(INSERT, *rows).rows == 20
    assert target.stamps() == before
    assert ("a", 3) not in target.cells(), "deleted later than it was written"


def test_a_call_that_was_undone_meanwhile_takes_back_what_it_wrote(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write(INSERT, ["a", 1, "before"])
    begin = StampedLoad.begin

    def undone_before_it_is_sent(load: StampedLoad, *chunk: Any) -> int | None:
        stamp = begin(load, *chunk)
        undo_contents(target.session, [load.content])
        return stamp

    monkeypatch.setattr(StampedLoad, "begin", undone_before_it_is_sent)
    with pytest.raises(UndoneError):
        target.write(INSERT, ["a", 2, "x"], ["a", 3, "y"])
    assert target.cells() == {("a", 1): "before"}
    assert CassandraUndoings(target.session).owed(target.table) == []


def test_a_later_row_of_a_call_wins(target: Target) -> None:
    rows = [["a", place % 3, f"v{9 - place}"] for place in range(9)]
    assert target.write(INSERT, *rows).rows == 9
    assert target.cells() == {("a", 0): "v3", ("a", 1): "v2", ("a", 2): "v1"}
    (block,) = target.blocks()
    assert (block["length"], block["chunks"], block["rows"]) == (12, 3, 9)


def test_static_columns_of_a_call_are_written_in_order(target: Target) -> None:
    rows = [["a", place, f"s{9 - place}"] for place in range(3)]
    target.write("INSERT INTO {t} (p, c, s) VALUES (?, ?, ?)", *rows)
    found = target.session.execute(f"SELECT s FROM {target.table}").rows
    assert {row["s"] for row in found} == {"s7"}


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lightweight transactions on clocks, as they are sent."""
    sent: list[str] = []
    move = CassandraClocks.move

    def counted(self: CassandraClocks, table: str, *rest: Any) -> Any:
        sent.append(table)
        return move(self, table, *rest)

    monkeypatch.setattr(CassandraClocks, "move", counted)
    return sent


def test_a_call_of_any_size_costs_one_lightweight_transaction(
    target: Target, moves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_cassandra.writes.statements._MOST_ROWS", 50)
    target.write(INSERT, *([f"p{place % 9}", place, "v"] for place in range(600)))
    assert moves == [target.table]
    assert len(target.cells()) == 600
    assert len(target.stamps()) == 12


def test_a_load_of_any_size_costs_three_lightweight_transactions_at_most(
    target: Target, moves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A chunk has one row here, and the first two blocks of a stream have room for few of them:
    # these are in proportion as many chunks as 2,500 million rows have.
    monkeypatch.setattr("prefect_cassandra.ledger.chunks._UNKNOWN", (1, 33))
    monkeypatch.setattr("prefect_cassandra.writes.sources.CHUNK_ROWS", 1)
    monkeypatch.setattr("prefect_cassandra.writes.stamped.CHUNK_ROWS", 1)
    monkeypatch.setattr("prefect_cassandra.writes.stamped._MOST_ROWS", 1)
    rows = pa.table({"p": ["a"] * 100, "c": pa.array(range(100), pa.int32())})

    def stream() -> Any:
        yield from rows.to_batches(max_chunksize=10)

    options = LoadOptions(stamped=Stamped(target.run, WHO))
    assert load(target.session, target.table, stream, options).rows == 100
    assert len(moves) == 3


@pytest.mark.parametrize(
    ("cql", "left", "what", "keys"),
    [
        ("DELETE FROM {t} WHERE p = ?", [("b", 1)], "PARTITION", {"p": "a"}),
        ("DELETE FROM {t} WHERE p = ? AND c > 1", [("a", 1), ("b", 1)], "RANGE", {"p": "a"}),
        ("DELETE FROM {t} WHERE p = ? AND c = 2", [("a", 1), ("a", 3), ("b", 1)], "ROW", None),
        (
            "DELETE v FROM {t} WHERE p = ? AND c = 2",
            [("a", 1), ("a", 2), ("a", 3), ("b", 1)],
            "CELLS",
            None,
        ),
    ],
)
def test_what_is_deleted_goes_and_is_on_record(
    target: Target, cql: str, left: list[tuple[str, int]], what: str, keys: dict[str, str] | None
) -> None:
    target.write(INSERT, ["a", 1, "x"], ["a", 2, "x"], ["a", 3, "x"], ["b", 1, "x"])
    target.write(cql, ["a"])
    assert sorted(target.cells()) == left
    (removal,) = removals_of(target.session, target.table, routing_key([b"a"]), WINDOW)
    assert (removal.what, removal.keys) == (what, keys or {"p": "a", "c": "2"})
    assert removal.columns == (("v",) if what == "CELLS" else ())
    assert removal.stamp == target.blocks()[-1]["start"]
    assert removal.parameters == '{"p": "a"}'
    assert removals_of(target.session, target.table, routing_key([b"b"]), WINDOW) == []
    # What comes later stays, however often the deletion is repeated.
    target.write(INSERT, ["a", 2, "again"])
    assert target.write(cql, ["a"]).skipped == 1
    assert target.cells()["a", 2] == "again"


def test_the_filters_of_a_call_and_of_a_load_hold_its_keys(target: Target) -> None:
    def keys(first: int, stop: int) -> list[int]:
        return [hash_key([b"a", place.to_bytes(4)]) for place in range(first, stop)]

    target.write(INSERT, *(["a", place, "x"] for place in range(500)))
    rows = pa.table({"p": ["a"] * 500, "c": pa.array(range(500, 1_000), pa.int32())})
    options = LoadOptions(stamped=Stamped(target.run, WHO, keep_filters=WINDOW))
    load(target.session, target.table, rows, options)
    told, loaded = (
        filters_of(target.session, target.table, block["start"], 0)[0] for block in target.blocks()
    )
    assert all(map(told.might_hold, keys(0, 500)))
    assert all(map(loaded.might_hold, keys(500, 1_000)))
    assert sum(map(told.might_hold, keys(500, 1_500))) < 50
    assert sum(map(loaded.might_hold, keys(0, 500))) < 25


def test_a_number_is_one_key_however_it_is_spelled(ground: Ground, target: Target) -> None:
    table = f"{ground.keyspace}.measured"
    target.table = table
    insert = "INSERT INTO {t} (p, c, v) VALUES (?, ?, ?)"
    # Of one call: with one stamp the greater value would win, and not the later one.
    target.write(insert, ["a", Decimal("1.0"), "z"], ["a", Decimal("1.00"), "later"])
    assert [tuple(row.values()) for row in target.session.execute(f"SELECT v FROM {table}")] == [
        ("later",)
    ]
    data = [{"p": "b", "c": Decimal("2.0"), "v": "x"}]
    kept = Stamped(uuid.uuid4().hex, WHO, keep_filters=WINDOW)
    load(target.session, table, data, LoadOptions(stamped=kept))
    for partition, spelled in (("a", "1"), ("a", "1.000"), ("b", "2"), ("b", "2.00")):
        trail = who_wrote(target.session, table, {"p": partition, "c": Decimal(spelled)})
        (cell,) = (one for one in trail.cells if one.column == "v")
        assert cell.writer is not None
        assert cell.writer.proof is Proof.PROVEN


def test_what_cannot_be_repeated_is_refused_and_not_sent(ground: Ground, target: Target) -> None:
    for cql in (
        f"UPDATE {ground.keyspace}.counted SET n = n + 1 WHERE p = 'a'",
        "INSERT INTO {t} (p, c, v) VALUES ('a', 1, 'x') IF NOT EXISTS",
        "INSERT INTO {t} (p, c, v) VALUES ('a', 1, 'x') USING TIMESTAMP 1",
    ):
        with pytest.raises(NotRepeatableError, match="cannot carry a write stamp"):
            target.write(cql)
    with pytest.raises(DataError, match="row 3, column c"):
        target.write(INSERT, ["a", 1, "x"], ["a", 2, "x"], ["a", "three", "x"])
    assert (target.cells(), target.blocks()) == ({}, [])


def test_what_changes_no_data_or_is_never_repeated_carries_no_stamp(target: Target) -> None:
    assert write(target.session, target.said("SELECT p FROM {t}"), [()], target.wanted()) is None
    nobody = replace(target.wanted(), key=lambda _: None)
    assert write(target.session, target.said(INSERT), [["a", 1, "x"]], nobody) is None
    assert target.cells() == {}


async def test_a_call_can_be_awaited(target: Target) -> None:
    wanted = target.wanted()
    found = await awrite(target.session, target.said(INSERT), [["a", 1, "x"]], wanted)
    assert found is not None
    assert (found.rows, target.cells()) == (1, {("a", 1): "x"})


def test_a_claim_is_won_once_and_by_its_repeats(target: Target) -> None:
    row = {"p": "a", "c": 1}
    first = claim_row(target.session, target.table, row, {"v": "me"})
    assert first == Claim(won=True, row={"v": "me"})
    assert claim_row(target.session, target.table, row, {"v": "me"}).won
    assert claim_row(target.session, target.table, row, {"v": "you"}) == Claim(
        won=False, row={"v": "me"}
    )
    expected = {"v": "me"}
    handed = claim_row(target.session, target.table, row, {"v": "you"}, expected=expected)
    assert handed == Claim(won=True, row={"v": "you"})
    assert claim_row(target.session, target.table, row, {"v": "you"}, expected=expected).won
    assert not claim_row(target.session, target.table, row, {"v": "third"}, expected=expected).won


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_lost_answer_to_a_claim_is_looked_up(
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    arrived: bool,  # noqa: FBT001 -- a case
) -> None:
    run = Session.run

    def lose(self: Session, request: Any, *rest: Any) -> Any:
        if "IF NOT EXISTS" in request.cql and target.table in request.cql.replace('"', ""):
            if arrived:
                run(self, request, *rest)
            raise OutcomeUnknownError("the answer was lost")
        return run(self, request, *rest)

    monkeypatch.setattr(Session, "run", lose)
    found = await aclaim_row(target.session, target.table, {"p": "a", "c": 1}, {"v": "me"})
    assert found == Claim(won=arrived, row={"v": "me"} if arrived else None)


def test_claims_and_stamps_never_meet_in_a_table(ground: Ground, target: Target) -> None:
    claim_row(target.session, target.table, {"p": "a", "c": 1}, {"v": "me"})
    with pytest.raises(ClaimedTableError, match="is for claims"):
        target.write(INSERT, ["a", 1, "x"])
    rows = pa.table({"p": ["a"], "c": pa.array([1], pa.int32()), "v": ["x"]})
    kept = LoadOptions(stamped=Stamped(target.run, WHO, optional=True))
    with pytest.raises(ClaimedTableError, match="is for claims"):
        load(target.session, target.table, rows, kept)
    assert target.cells() == {("a", 1): "me"}

    other = replace(target, table=f"{ground.keyspace}.t{next(_numbers)}")
    other.write(INSERT, ["a", 1, "x"])
    with pytest.raises(ClaimedTableError, match="is written with stamps"):
        claim_row(other.session, other.table, {"p": "a", "c": 2}, {"v": "me"})
    assert other.cells() == {("a", 1): "x"}


@pytest.mark.parametrize(
    ("key", "values", "why"),
    [
        ({"p": "a"}, {"v": "me"}, "the whole primary key"),
        ({"p": "a", "c": 1}, {}, "without values"),
        ({"p": "a", "c": 1}, {"w": "me"}, "no column 'w'"),
        ({"p": "a", "c": 1}, {"v": 5}, "column v"),
    ],
)
def test_what_cannot_be_claimed_is_refused(
    target: Target, key: dict[str, Any], values: dict[str, Any], why: str
) -> None:
    with pytest.raises(DataError, match=why):
        claim_row(target.session, target.table, key, values)
    assert target.cells() == {}
