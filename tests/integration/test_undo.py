"""Undoing on a real node: what one load wrote goes, what others wrote stays as it was."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from prefect_cassandra.cli.app import run as command
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import CannotUndoError, UndoneError
from prefect_cassandra.ledger.lookup import block_at
from prefect_cassandra.ledger.undoing import CassandraUndoings, Content
from prefect_cassandra.reads.frames import collect
from prefect_cassandra.reads.query import Selection
from prefect_cassandra.reads.scan import Scan, ScanOptions
from prefect_cassandra.schema import apply
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from prefect_cassandra.writes.stamped import Stamped
from prefect_cassandra.writes.statements import StampedStatement, write
from prefect_cassandra.writes.undo import undo_contents
from prefect_cassandra.writes.undo_lookup import UndoneBefore, used_by
from support.schema import Ground
from support.stamps import WHO

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.writes.report import LoadReport
    from prefect_cassandra.writes.undo_report import UndoReport

_TABLES = 24
DAY = timedelta(days=1)
NOTE = {"p": 1, "k": 1, "note": "kept"}
_SHAPES = {
    "t": "(p int, k int, v text, w int, tags set<text>, PRIMARY KEY (p, k))",
    "s": "(p int, k int, note text static, v text, PRIMARY KEY (p, k))",
    "keys": "(p int, k int, PRIMARY KEY (p, k))",
    "seen": "(p int PRIMARY KEY, v text)",
    "notes": "(p int, k int, note text static, PRIMARY KEY (p, k))",
    "prices": "(p int, d decimal, v text, PRIMARY KEY (p, d))",
}


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("undone"))
    names = [(f"t{number}", "t") for number in range(_TABLES)]
    names += [(name, name) for name in _SHAPES if name != "t"]
    text = "".join(
        f"CREATE TABLE IF NOT EXISTS {made.keyspace}.{name} {_SHAPES[shape]};\n"
        for name, shape in names
    )
    made.write("0001_tables", text=text)
    apply(made.config, made.installation)
    return made


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few rows be many chunks."""
    monkeypatch.setattr("prefect_cassandra.writes.stamped._MOST_ROWS", CHUNK_ROWS)


_tables = count()


@dataclass
class Target:
    """A table that no other test uses."""

    session: Session
    table: str

    def load(self, data: object, key: str, **options: Any) -> LoadReport:
        """Load rows as `key`, which is the run's name too."""
        stamped = Stamped(key, replace(WHO, run=key), **options)
        return load(self.session, self.table, data, LoadOptions(stamped=stamped))

    def undo(self, *keys: str, generation: int = 1, **options: Any) -> list[UndoReport]:
        contents = [Content(self.table, key, generation) for key in keys]
        return undo_contents(self.session, contents, **options)

    def state(self) -> dict[Any, Any]:
        """Return every row with the write times of its cells."""
        query = (
            "SELECT p, k, v, w, tags, writetime(v) AS wv, writetime(w) AS ww, writetime(tags) AS wt"
        )
        rows = self.session.execute(f"{query} FROM {self.table}")
        return {
            (row.pop("p"), row.pop("k")): {
                name: sorted(value) if isinstance(value, set | list) else value
                for name, value in row.items()
                if value is not None
            }
            for row in map(dict, rows)
        }


@pytest.fixture
def target(ground: Ground) -> Target:
    session = shared_session(ground.role("flow"))
    return Target(session, f"{ground.keyspace}.t{next(_tables)}")


def rows(keys: range, **columns: Any) -> pa.Table:
    """Return rows with these keys, ten in a partition; a column is a value for all of them."""
    kinds = {"v": pa.string(), "w": pa.int32(), "tags": pa.list_(pa.string())}
    return pa.table(
        {
            "p": pa.array([key // 10 for key in keys], pa.int32()),
            "k": pa.array(list(keys), pa.int32()),
            **{name: pa.array([value] * len(keys), kinds[name]) for name, value in columns.items()},
        }
    )


def test_undoing_a_load_leaves_what_came_before_and_after(target: Target) -> None:
    target.load(rows(range(30), v="a"), "first")
    before = target.state()
    target.load(rows(range(20, 60), w=2, tags=["x", "y"]), "second")
    target.load(rows(range(50, 70), v="c"), "third")
    whole = target.state()
    planned = target.undo("second", dry_run=True)
    assert target.state() == whole
    (did,) = target.undo("second")
    after = target.state()
    # Rows 20 to 29 keep what the first load wrote, 30 to 49 were the second's alone, 50 to 59 are
    # the third's now.
    assert after == before | {key: {"v": "c", "wv": whole[key]["wv"]} for key in last(whole)}
    assert (did.rows_removed, did.cells_cleared, did.blind) == (20, 40, True)
    assert replace(planned[0], dry_run=False) == did
    # Again, it changes nothing.
    (again,) = target.undo("second")
    assert (again.rows_removed, again.cells_cleared) == (0, 0)
    assert target.state() == after


def last(state: dict[Any, Any]) -> list[Any]:
    return [key for key in state if 50 <= key[1] < 70]


def test_an_undone_load_is_sent_whole_when_it_is_run_again(target: Target) -> None:
    target.load(rows(range(10), v="a"), "load")
    first = target.state()
    target.undo("load")
    assert target.state() == {}
    report = target.load(rows(range(10), v="a"), "load")
    assert (report.rows, report.skipped_rows) == (10, 0)
    again = target.state()
    assert {key: cells["v"] for key, cells in again.items()} == dict.fromkeys(first, "a")
    assert min(cells["wv"] for cells in again.values()) > max(c["wv"] for c in first.values())
    assert target.load(rows(range(10), v="a"), "load").skipped_rows == 10
    target.undo("load", generation=2)
    assert target.state() == {}


def test_what_only_replaced_content_had_is_swept(target: Target) -> None:
    target.load(rows(range(30), v="old", w=1), "load")
    target.load(rows(range(100, 110), v="other"), "another")
    report = target.load(rows(range(20, 40), v="new"), "load", replace=True)
    assert report.swept_rows == 20
    assert "20 of the replaced content removed" in str(report)
    state = target.state()
    assert {key[1] for key in state} == {*range(20, 40), *range(100, 110)}
    assert all("w" not in cells for cells in state.values())
    assert CassandraUndoings(target.session).owed(target.table) == []


def test_an_attempt_that_was_undone_meanwhile_takes_back_what_it_wrote(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_cassandra.ledger.loads._LOOKS_EVERY", -1.0)

    def batches() -> Any:
        yield rows(range(CHUNK_ROWS), v="a")
        yield rows(range(CHUNK_ROWS, 2 * CHUNK_ROWS), v="a")
        target.undo("load")
        # The second chunk may be on its way, or begun and not sent.
        yield rows(range(2 * CHUNK_ROWS, 3 * CHUNK_ROWS), v="a")
        yield rows(range(3 * CHUNK_ROWS, 4 * CHUNK_ROWS), v="a")

    with pytest.raises(UndoneError, match=r"'load' into .* was undone"):
        target.load(batches(), "load")
    assert target.state() == {}


def test_only_the_load_that_is_meant_is_undone_where_others_are_newer_or_older(
    target: Target,
) -> None:
    target.load(rows(range(10), v="a", tags=["one"]), "first")
    target.session.execute(f"UPDATE {target.table} USING TTL 1000 SET w = 7 WHERE p = 0 AND k = 3")
    target.session.execute(
        f"UPDATE {target.table} SET tags = tags + {{'two'}} WHERE p = 0 AND k = 4"
    )
    target.undo("first")
    # A row with a later cell stays, with that cell alone; so does a later element.
    state = target.state()
    assert {key: set(cells) for key, cells in state.items()} == {
        (0, 3): {"w", "ww"},
        (0, 4): {"tags", "wt"},
    }
    assert state[0, 4]["tags"] == ["two"]
    target.session.execute(f"DELETE w FROM {target.table} WHERE p = 0 AND k = 3")
    assert (0, 3) not in target.state(), "a row marker stayed behind"


def test_static_cells_belong_to_the_partition(ground: Ground, target: Target) -> None:
    target.table = f"{ground.keyspace}.s"
    kinds = {"p": pa.int32(), "k": pa.int32(), "note": pa.string(), "v": pa.string()}

    def some(values: list[tuple[Any, ...]]) -> pa.Table:
        columns = zip(*values, strict=True)
        return pa.table(
            {n: pa.array(c, t) for (n, t), c in zip(kinds.items(), columns, strict=True)}
        )

    target.load(some([(1, 1, "kept", "a"), (2, 1, "lost", "a")]), "first")
    target.load(some([(2, 2, "second", "b"), (3, 1, "second", "b")]), "second")
    (did,) = target.undo("second")
    found = target.session.execute(f"SELECT p, k, note, v FROM {target.table}").rows
    assert sorted(tuple(row.values()) for row in found) == [(1, 1, "kept", "a"), (2, 1, None, "a")]
    assert (did.rows_removed, did.cells_cleared) == (2, 2)


def test_tables_in_which_undoing_cannot_be_exact_are_refused(
    ground: Ground, target: Target
) -> None:
    target.table = f"{ground.keyspace}.keys"
    target.load(rows(range(10)), "load")
    with pytest.raises(CannotUndoError, match="has key columns only"):
        target.undo("load")
    assert CassandraUndoings(target.session).of_load(target.table, "load") == {}
    ground.superuser.execute(
        f"CREATE TABLE {ground.keyspace}.counts (p int PRIMARY KEY, n counter)"
    )
    target.table = f"{ground.keyspace}.counts"
    with pytest.raises(CannotUndoError, match="the column n of type counter"):
        target.undo(uuid.uuid4().hex)
    with pytest.raises(CannotUndoError, match="the column n of type counter"):
        target.load(rows(range(1)), "load", keep_images=DAY)


def test_undoing_the_middle_of_three_loads_leaves_what_the_other_two_alone_would(
    target: Target, ground: Ground
) -> None:
    """The same three loads without the middle one, into another table, are the measure."""
    alone = replace(target, table=f"{ground.keyspace}.t{next(_tables)}")
    first = rows(range(30), v="a", tags=["x", "y"])
    third = rows(range(50, 70), v="c", tags=["z"])
    target.load(first, "first")
    target.load(rows(range(20, 60), v="b", w=2, tags=["y"]), "second", keep_images=DAY)
    target.load(third, "third")
    alone.load(first, "first")
    alone.load(third, "third")
    before = target.state()
    planned = target.undo("second", dry_run=True)
    (did,) = target.undo("second")
    after, wanted = target.state(), alone.state()
    assert values(after) == values(wanted)
    # What the middle load never touched, and what came later, keeps its write times as well.
    untouched = [key for key in after if not 20 <= key[1] < 50]
    assert {key: after[key] for key in untouched} == {
        key: {n: c for n, c in before[key].items() if n not in {"w", "ww"}} for key in untouched
    }
    # 20 to 29 come back, 30 to 49 vanish, and of 50 to 59 only the column w was still there.
    assert (did.rows_removed, did.cells_restored, did.cells_cleared) == (20, 20, 20)
    assert not did.blind
    assert planned == [replace(did, dry_run=True)]
    target.undo("second")
    assert target.state() == after


def values(state: dict[Any, Any]) -> dict[Any, Any]:
    return {
        key: {name: cell for name, cell in cells.items() if name in {"v", "w", "tags"}}
        for key, cells in state.items()
    }


def test_a_ttl_goes_on_where_it_was(target: Target) -> None:
    insert = f"INSERT INTO {target.table} (p, k, v, w, tags) VALUES (0, ?, 'old', 1, {{'x'}})"
    target.session.execute(f"{insert} USING TTL 1000", [1])
    target.session.execute(insert, [2])
    target.session.execute(f"UPDATE {target.table} USING TTL 500 SET w = 5 WHERE p = 0 AND k = 2")
    target.load(rows(range(1, 3), v="new", w=2, tags=["y"]), "load", keep_images=DAY)
    (did,) = target.undo("load")
    assert did.cells_restored == 6
    selection = Selection(ttl=["v", "w", "tags"])
    table = collect(Scan(target.session, target.table, ScanOptions(selection)), "table")
    found = {row["k"]: row for row in table.to_pylist()}
    assert [found[key]["v"] for key in (1, 2)] == ["old", "old"]
    assert 900 < found[1]["ttl(v)"] <= 1000
    assert 900 < found[1]["ttl(tags)"][0] <= 1000
    assert found[2]["w"] == 5
    assert 400 < found[2]["ttl(w)"] <= 500
    assert (found[2]["ttl(v)"], found[2]["ttl(tags)"]) == (None, [None])


def test_a_key_that_comes_in_two_chunks_gets_back_what_was_before_both(target: Target) -> None:
    target.load(rows(range(1), v="old", w=1), "first")
    # Pieces with other columns are chunks of their own.
    several = [rows(range(1), v="one", w=2), rows(range(1), v="two")]
    target.load(several, "second", keep_images=DAY)
    target.undo("second")
    assert values(target.state()) == {(0, 0): {"v": "old", "w": 1}}


def test_two_loads_are_undone_at_once(target: Target) -> None:
    target.load(rows(range(10), v="old"), "first")
    target.load(rows(range(5, 15), v="second"), "second", keep_images=DAY)
    target.load(rows(range(8, 20), v="third", w=3), "third", keep_images=DAY)
    done = target.undo("second", "third")
    assert values(target.state()) == {(0, key): {"v": "old"} for key in range(10)}
    assert sum(one.rows_removed for one in done) == 10


def test_what_was_undone_does_not_come_back_with_a_later_load(target: Target) -> None:
    target.load(rows(range(4), v="old", w=1), "first")
    target.load(rows(range(6), v="wrong"), "second", keep_images=DAY)
    target.load(rows(range(8), v="third"), "third", keep_images=DAY)
    target.undo("second")
    assert values(target.state())[0, 5] == {"v": "third"}
    target.undo("third")
    assert values(target.state()) == {(0, key): {"v": "old", "w": 1} for key in range(4)}


def test_rows_of_keys_alone_are_known_by_their_images(ground: Ground, target: Target) -> None:
    target.table = f"{ground.keyspace}.keys"
    target.load(rows(range(1000, 1005)), "before")
    target.load(rows(range(1003, 1010)), "with image", keep_images=DAY)
    (did,) = target.undo("with image")
    found = target.session.execute(f"SELECT k FROM {target.table}").rows
    assert sorted(row["k"] for row in found if row["k"] >= 1000) == list(range(1000, 1005))
    assert did.rows_removed == 5


def test_chunks_with_images_and_without_are_undone_together(target: Target) -> None:
    target.load(rows(range(4), v="old", w=1), "first")
    # New rows without images, written again with: nobody else had them.
    target.load(rows(range(10, 14), v="blind", w=2), "blind older")
    target.load(rows(range(10, 14), v="imaged"), "imaged newer", keep_images=DAY)
    # And the other way round; one of the columns stays the older one's.
    target.load(rows(range(2, 8), v="imaged", w=3), "imaged older", keep_images=DAY)
    target.load(rows(range(2, 8), v="blind"), "blind newer")
    names = ("blind older", "imaged newer", "imaged older", "blind newer")
    done = target.undo(*names)
    # v of 2 and 3 was overwritten last without an image, so it is lost, and w comes back.
    kept = {(0, key): {"v": "old", "w": 1} for key in range(2)}
    assert values(target.state()) == kept | {(0, key): {"w": 1} for key in range(2, 4)}
    assert sum(one.rows_removed for one in done) == 8


def test_an_insert_and_an_update_of_one_run_leave_no_row_of_keys_alone(target: Target) -> None:
    target.load(rows(range(3), v="a"), "load")
    wanted = StampedStatement(lambda _: "update", replace(WHO, run="load"), DAY)
    change = f"UPDATE {target.table} SET v = 'b' WHERE p = 0 AND k = ?"
    assert write(target.session, change, [[0], [1], [7]], wanted)
    done = target.undo("load", "update")
    assert target.state() == {}
    assert sum(one.rows_removed for one in done) == 4


def test_a_table_without_regular_columns_is_refused_without_images(
    ground: Ground, target: Target
) -> None:
    target.table = f"{ground.keyspace}.notes"
    kinds = {"p": pa.int32(), "k": pa.int32(), "note": pa.string()}
    some = pa.table({name: pa.array([value], kinds[name]) for name, value in NOTE.items()})
    target.load(some, "blind")
    with pytest.raises(CannotUndoError, match="key columns only, and perhaps static ones"):
        target.undo("blind")
    target.load(some, "imaged", keep_images=DAY)
    (did,) = target.undo("imaged")
    found = target.session.execute(f"SELECT p, k, note FROM {target.table}").rows
    assert [dict(row) for row in found] == [NOTE]
    assert (did.rows_removed, did.cells_restored) == (0, 1)


def test_one_and_one_point_nought_are_one_key(ground: Ground, target: Target) -> None:
    target.table = f"{ground.keyspace}.prices"

    def price(text: str, value: str) -> pa.Table:
        scale = len(text.partition(".")[2])
        d = pa.array([Decimal(text)], pa.decimal128(10, scale))
        return pa.table({"p": pa.array([1], pa.int32()), "d": d, "v": pa.array([value])})

    target.load(price("1.0", "old"), "first")
    target.load(price("1.00", "second"), "second", keep_images=DAY)
    target.load(price("1.000", "third"), "third", keep_images=DAY)
    target.undo("second", "third")
    (row,) = target.session.execute(f"SELECT d, v FROM {target.table}").rows
    assert (row["d"], row["v"]) == (1, "old")


def test_hours_that_are_too_many_to_look_at_are_an_error(target: Target) -> None:
    target.load(rows(range(1), v="wrong"), "load")
    target.undo("load")
    block = block_at(target.session, target.table, used(target, "load"))
    assert block is not None
    # Any number of wall-clock times of few hours is no hindrance.
    others = np.arange(block.start - 5_000, block.start + 5_000, dtype=np.int64)
    undone = UndoneBefore(target.session, target.table)
    assert undone(others) == ({}, [block.start])
    days = np.arange(0, block.start, 20 * 3600 * 1_000_000, dtype=np.int64)
    with pytest.raises(CannotUndoError, match="in more than 50 different hours"):
        UndoneBefore(target.session, target.table, hours=50)(days)


def used(target: Target, key: str) -> int:
    (stamp,) = used_by(target.session, Content(target.table, key, 1)).slots
    return stamp


def test_the_commands_undo_and_repair(
    ground: Ground, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    (address,) = ground.config.contact_points
    login = ground.secrets / f"{ground.keyspace}_flow"
    options = ["--contact-points", address, "--port", str(ground.config.port)]
    options += ["--login-folder", str(login), "--table", target.table]
    name = uuid.uuid4().hex
    target.load(rows(range(5), v="a"), name)
    assert command(["undo", name, "--dry-run", *options]) == 0
    assert "Nothing was done yet." in capsys.readouterr().out
    assert len(target.state()) == 5
    assert command(["undo", name, "--yes", "--output", "json", *options]) == 0
    (did,) = json.loads(capsys.readouterr().out)
    assert (did["rows_removed"], did["imaged_chunks"], did["chunks"]) == (5, 0, 1)
    assert target.state() == {}
    assert command(["undo", "nobody", "--yes", *options]) == 2
    assert "knows nothing that run 'nobody' wrote" in capsys.readouterr().err
    # An undoing that was begun and not finished.
    target.load(rows(range(5), v="a"), name)
    CassandraUndoings(target.session).begin(Content(target.table, name, 2), "UNDO")
    assert command(["ledger", "repair", "--dry-run", *options]) == 0
    assert "was begun and not finished" in capsys.readouterr().out
    assert len(target.state()) == 5
    assert command(["ledger", "repair", *options]) == 0
    assert target.state() == {}
    capsys.readouterr()
    assert command(["ledger", "repair", *options]) == 0
    assert "Nothing is unfinished." in capsys.readouterr().out
