from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import ContentChangedError, SupersededError, UndoneError
from prefect_cassandra.ledger import loads
from prefect_cassandra.ledger.chunks import ChunkRecord, LoadBlock
from prefect_cassandra.ledger.repair import Mending, decide
from prefect_cassandra.ledger.undoing import (
    Content,
    Owed,
    Undoing,
    restored_of,
    to_sweep,
    tombstone_of,
    used_slots,
)
from support.loads import Cells, Records, attempt, send
from support.stamps import NOON, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.ledger.repair import RunFate
    from prefect_cassandra.ledger.undoing import Reason

CONTENT = ["a", "b", "c", "d", "e"]


def run(steps: Iterator[str]) -> None:
    for _ in steps:
        pass


def record(number: int, state: Any) -> ChunkRecord:
    return ChunkRecord(number, b"", uuid.uuid4(), NOON + 4 * number, 0, 1, state)


def test_only_stamps_that_were_used_are_undone_and_below_the_next_slot() -> None:
    found = used_slots([record(0, "DONE"), record(1, "REFUSED"), record(2, "BEGUN")])
    assert found == {NOON: 0, NOON + 8: 2}
    assert NOON < tombstone_of(NOON) < restored_of(NOON) < NOON + 4


@pytest.mark.parametrize(
    ("newest", "known", "undone", "expected"),
    [
        (1, [1], {}, []),
        (3, [1, 2, 3], {}, [1, 2]),
        (3, [3, 1, 1, 2], {1: "DONE"}, [2]),
        (3, [1, 2, 3], {1: "BEGUN", 2: "DONE"}, [1]),
    ],
)
def test_older_contents_are_swept_until_that_is_done(
    newest: int, known: list[int], undone: dict[int, Any], expected: list[int]
) -> None:
    records = {number: Undoing(number, "REPLACED", state) for number, state in undone.items()}
    assert to_sweep(newest, known, records) == expected


def test_an_undone_load_takes_new_stamps_and_sends_everything() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, CONTENT))
    records.undoings[1] = Undoing(1, "UNDO", "DONE")
    highest = max(stamp for stamp, _ in cells.held.values())
    again = attempt(records)
    run(send(again, cells, CONTENT))
    assert again.content == Content(TABLE, "key", 2)
    assert again.skipped_chunks == 0
    assert min(stamp for stamp, _ in cells.held.values()) > highest
    # And from then on it is what it was: done.
    third = attempt(records)
    run(send(third, cells, CONTENT))
    assert third.skipped_chunks == 3
    assert records.owed == []


@pytest.mark.parametrize("state", ["BEGUN", "DONE"])
def test_an_attempt_that_is_undone_stops_at_the_next_chunk(
    monkeypatch: pytest.MonkeyPatch, state: Any
) -> None:
    monkeypatch.setattr(loads, "_LOOKS_EVERY", -1.0)
    records, cells = Records(), Cells()
    load = attempt(records)
    steps = send(load, cells, CONTENT)
    while next(steps) != "sent":
        pass
    records.undoings[1] = Undoing(1, "ROLLBACK", state)
    with pytest.raises(UndoneError, match=r"the load 'key' into flights\.by_origin_day was"):
        run(steps)
    assert len(cells.held) == 2
    assert (load.content.generation, load.ended_by) == (1, "ROLLBACK")


def test_an_attempt_that_is_undone_behind_its_last_chunk_is_told_at_the_end() -> None:
    records, cells = Records(), Cells()
    load = attempt(records)
    steps = send(load, cells, CONTENT)
    sent = 0
    while sent < len(CONTENT):
        sent += next(steps) == "sent"

    def undone_at_last() -> None:
        # Between the last look and the word that the load is done.
        if records.ended:
            records.undoings[1] = Undoing(1, "UNDO", "BEGUN")

    records.between = undone_at_last
    with pytest.raises(UndoneError):
        run(steps)


def test_what_newer_content_replaced_is_owed_until_it_is_swept() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, CONTENT))
    changed = attempt(records)
    with pytest.raises(ContentChangedError):
        run(send(changed, cells, ["X"]))
    fresh = changed.replaced()
    assert records.owed == [Content(TABLE, "key", 1)]
    assert fresh.to_sweep() == records.owed
    run(send(fresh, cells, ["X"]))
    # An attempt that comes later sweeps too, if nobody has.
    later = attempt(records)
    later.open()
    assert later.to_sweep() == [Content(TABLE, "key", 1)]
    records.undoings[1] = Undoing(1, "REPLACED", "DONE")
    later.open()
    assert later.to_sweep() == []


def test_finished_content_stays_where_it_may_be_another_loads() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records, keep_finished=True), cells, CONTENT))
    for content, until in ((["X", "Y", "Z"], "begun"), (["Q"], "")):
        changed = attempt(records, keep_finished=True)
        with pytest.raises(ContentChangedError):
            run(send(changed, cells, content))
        load = changed.replaced()
        # The second content is left unfinished.
        for step in send(load, cells, content):
            if step == until:
                break
    assert load.content.generation == 3
    assert records.states() == ["DONE", "REPLACED", "DONE"]
    assert records.owed == load.to_sweep() == [Content(TABLE, "key", 2)]


@pytest.mark.parametrize(("undone", "stays"), [(False, True), (True, False)])
def test_a_sleeper_leaves_what_another_attempt_has_finished(
    monkeypatch: pytest.MonkeyPatch,
    undone: bool,  # noqa: FBT001 -- a case
    stays: bool,  # noqa: FBT001 -- a case
) -> None:
    monkeypatch.setattr(loads, "_LOOKS_EVERY", -1.0)
    records, cells = Records(), Cells()
    sleeper = attempt(records, keep_finished=True)
    steps = send(sleeper, cells, CONTENT)
    assert [next(steps), next(steps)] == ["open", "begun"]
    assert not sleeper.stays
    run(send(attempt(records, keep_finished=True), cells, CONTENT))
    changed = attempt(records, keep_finished=True)
    with pytest.raises(ContentChangedError):
        run(send(changed, cells, ["X"]))
    run(send(changed.replaced(), cells, ["X"]))
    if undone:
        records.undoings[1] = Undoing(1, "UNDO", "DONE")
    with pytest.raises(SupersededError):
        run(steps)
    assert sleeper.stays is stays


def test_a_superseded_attempt_knows_what_was_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "_LOOKS_EVERY", -1.0)
    records, cells = Records(), Cells()
    old = attempt(records)
    sleeper = send(old, cells, CONTENT)
    assert [next(sleeper), next(sleeper)] == ["open", "begun"]
    changed = attempt(records)
    with pytest.raises(ContentChangedError):
        run(send(changed, cells, ["X", "Y"]))
    run(send(changed.replaced(), cells, ["X", "Y"]))
    with pytest.raises(SupersededError):
        run(sleeper)
    assert (old.content.generation, old.ended_by) == (1, "REPLACED")


FIRST = LoadBlock(1, NOON, 8, 4, 0, 5, uuid.UUID(int=1), "REPLACED")
NEWER = replace(FIRST, generation=2, start=NOON + 100, state=None)
DONE = replace(NEWER, state="DONE")
UNDONE = replace(NEWER, state="UNDONE")


@pytest.mark.parametrize(
    ("reason", "blocks", "fate", "expected"),
    [
        ("UNDO", [FIRST], "alive", Mending.UNDO),
        ("UNDO", [], "dead", Mending.FORGET),
        ("REPLACED", [FIRST, DONE], "alive", Mending.UNDO),
        ("REPLACED", [FIRST, NEWER], "dead", Mending.LEAVE),
        ("REPLACED", [FIRST], "dead", Mending.FORGET),
        ("ROLLBACK", [FIRST], "dead", Mending.UNDO),
        ("ROLLBACK", [FIRST], "alive", Mending.LEAVE),
        ("ROLLBACK", [FIRST], "completed", Mending.LEAVE),
        ("ROLLBACK", [FIRST], "unknown", Mending.LEAVE),
        ("ROLLBACK", [], "alive", Mending.FORGET),
        # Newer content of the same load took its place, or was undone and did not.
        ("ROLLBACK", [FIRST, DONE], "completed", Mending.UNDO),
        ("ROLLBACK", [FIRST, NEWER], "alive", Mending.LEAVE),
        ("ROLLBACK", [FIRST, NEWER], "dead", Mending.UNDO),
        ("ROLLBACK", [FIRST, UNDONE], "completed", Mending.LEAVE),
        ("REPLACED", [FIRST, UNDONE], "alive", Mending.FORGET),
        ("REPLACED", [FIRST, DONE, replace(UNDONE, generation=3)], "alive", Mending.UNDO),
    ],
)
def test_what_is_owed_is_finished_when_nobody_else_may(
    reason: Reason, blocks: list[LoadBlock], fate: RunFate, expected: Mending
) -> None:
    owed = Owed(Content(TABLE, "key", 1), reason, "run", datetime.now(UTC))
    found = decide(owed, blocks, fate)
    assert found.mending is expected
    assert found.why


@pytest.mark.parametrize("reason", ["ROLLBACK", "UNDO"])
@pytest.mark.parametrize(("own", "fate"), [("REPLACED", "dead"), ("ROLLBACK", "alive")])
def test_what_was_replaced_stays_until_it_is_certain_that_the_newer_content_does(
    own: Reason, fate: RunFate, reason: Reason
) -> None:
    owed = Owed(Content(TABLE, "key", 1), own, "run", datetime.now(UTC))
    newer = replace(owed, content=Content(TABLE, "key", 2), reason=reason)
    assert decide(owed, [FIRST, DONE], fate, [owed, newer]).mending is Mending.LEAVE
    # Of another load, it says nothing.
    other = replace(newer, content=Content(TABLE, "another", 2))
    assert decide(owed, [FIRST, DONE], fate, [owed, other]).mending is Mending.UNDO
