from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.errors import ContentChangedError, SupersededError
from prefect_cassandra.ledger import loads
from support.loads import Cells, Records, attempt, digest, send

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = ["a", "b", "c", "d", "e"]


def run(steps: Iterator[str], until: str = "", times: int = 0) -> None:
    """Carry an attempt out; with `until`, kill it after that step came so many times."""
    for step in steps:
        times -= step == until
        if until and times == 0:
            return


def test_a_load_writes_its_chunks_in_the_order_of_the_input() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, CONTENT))
    assert cells.values() == dict(enumerate(CONTENT))
    stamps = [cells.held[key][0] for key in range(5)]
    start = min(stamps)
    assert [stamp - start for stamp in stamps] == [0, 0, 4, 4, 8]
    assert len(records.row.moves) == 1
    assert records.states() == ["DONE"]
    (ended,) = records.ended.values()
    assert (ended.chunks, ended.rows) == (3, 5)


def test_a_finished_load_is_skipped_whole_and_takes_nothing() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, CONTENT))
    written = records.writes
    again = attempt(records)
    run(send(again, cells, CONTENT))
    assert (again.skipped_chunks, again.skipped_rows) == (3, 5)
    assert len(records.row.moves) == 1
    assert records.writes == written
    assert all(len(values) == 1 for values in cells.writes.values())


@pytest.mark.parametrize("killed_after", range(1, 6))
def test_a_load_that_was_killed_goes_on_at_the_same_stamps(killed_after: int) -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, CONTENT), until="sent", times=killed_after)
    before = dict(cells.held)
    again = attempt(records)
    run(send(again, cells, CONTENT))
    assert cells.values() == dict(enumerate(CONTENT))
    assert {key: cells.held[key] for key in before} == before
    assert len(records.row.moves) == 1
    # A chunk is said to be done with the record of the next one.
    assert again.skipped_chunks == max(0, (killed_after - 1) // 2)
    assert records.states() == ["DONE"]


def test_a_later_attempt_cuts_where_the_first_one_did() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records, chunk_rows=2), cells, CONTENT), until="begun", times=3)
    again = attempt(records, chunk_rows=3)
    run(send(again, cells, CONTENT))
    assert again.chunk_rows == 2
    assert again.skipped_chunks == 2
    assert sorted({stamp for stamp, _ in cells.held.values()}) == [
        min(stamp for stamp, _ in cells.held.values()) + 4 * n for n in range(3)
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (["a", "b", "c", "X", "e"], r"chunk 1 has sha256 \w{16}\.\.\., recorded was \w{16}"),
        ([*CONTENT, "f"], r"was finished with 3 chunks; now there is a chunk 3 \(sha256 \w{16}"),
        (CONTENT[:4], r"has 2 chunks now, and had more: chunk 2 with the rows from 4 on"),
        ([], r"has 0 chunks now"),
    ],
)
def test_other_content_under_the_same_key_is_refused_before_any_of_it_is_sent(
    content: list[str], said: str
) -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, CONTENT))
    with pytest.raises(ContentChangedError, match=said) as raised:
        run(send(attempt(records), cells, content))
    assert "'key' into flights.by_origin_day" in str(raised.value)
    assert cells.values() == dict(enumerate(CONTENT))
    assert all(len(values) == 1 for values in cells.writes.values())
    # And the load is still what it was.
    again = attempt(records)
    run(send(again, cells, CONTENT))
    assert again.skipped_chunks == 3


def test_both_digests_are_named() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, ["a", "b"]))
    with pytest.raises(ContentChangedError) as raised:
        run(send(attempt(records), cells, ["a", "X"]))
    assert digest(["a", "b"]).hex()[:16] in str(raised.value)
    assert digest(["a", "X"]).hex()[:16] in str(raised.value)


def test_replaced_content_is_written_whole_at_higher_stamps() -> None:
    records, cells = Records(), Cells()
    run(send(attempt(records), cells, CONTENT))
    before = max(stamp for stamp, _ in cells.held.values())
    changed = attempt(records)
    with pytest.raises(ContentChangedError):
        run(send(changed, cells, ["a", "b", "X"]))
    run(send(changed.replaced(), cells, ["a", "b", "X"]))
    assert [cells.held[key][1] for key in range(3)] == ["a", "b", "X"]
    assert all(cells.held[key][0] > before for key in range(3))
    assert records.states() == ["REPLACED", "DONE"]
    # A retry of the new content finds it; the old content is other content now.
    again = attempt(records)
    run(send(again, cells, ["a", "b", "X"]))
    assert again.skipped_chunks == 2
    with pytest.raises(ContentChangedError):
        run(send(attempt(records), cells, CONTENT))


def test_an_attempt_whose_content_was_replaced_meanwhile_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loads, "_LOOKS_EVERY", -1.0)
    records, cells = Records(), Cells()
    sleeper = send(attempt(records), cells, CONTENT)
    run(sleeper, until="begun", times=1)
    changed = attempt(records)
    with pytest.raises(ContentChangedError):
        run(send(changed, cells, ["X", "Y", "Z"]))
    run(send(changed.replaced(), cells, ["X", "Y", "Z"]))
    with pytest.raises(SupersededError, match="taken up with newer content elsewhere"):
        run(sleeper)
    assert cells.values() == {0: "X", 1: "Y", 2: "Z"}
    assert records.states() == ["REPLACED", "DONE"]


def test_attempts_that_begin_at_once_agree_on_one_block() -> None:
    records, cells = Records(), Cells()
    other = send(attempt(records), cells, CONTENT)
    begun = iter([True])

    def meanwhile() -> None:
        if next(begun, False):
            run(other, until="open", times=1)

    run(send(attempt(records, meanwhile=meanwhile), cells, CONTENT))
    run(other)
    assert len(records.row.moves) == 2
    assert {len(values) for values in cells.writes.values()} == {1}
    assert len(cells.writes) == 5
    assert sorted(records.states(), key=str) == ["DONE", "UNUSED"]


def test_a_stream_that_outgrows_its_block_takes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_cassandra.ledger.chunks._UNKNOWN", (2, 3))
    content = [str(n) for n in range(14)]
    records, cells = Records(), Cells()
    steps = send(attempt(records, chunk_rows=2), cells, content)
    run(steps, until="sent", times=11)
    assert len(records.row.moves) == 3
    again = attempt(records, chunk_rows=2)
    run(send(again, cells, content))
    assert cells.values() == dict(enumerate(content))
    assert all(len(values) == 1 for values in cells.writes.values())
    assert len(cells.writes) == 14
    assert again.skipped_chunks == 5
    assert records.states() == ["DONE", "DONE", "DONE"]


ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from([CONTENT, CONTENT[:3], ["a", "b", "X", "d", "e"], ["Q", "b"]]),
        st.integers(1, 3),  # rows to a chunk
        st.booleans(),  # replace
    ),
    min_size=1,
    max_size=4,
)


@given(attempts=ATTEMPTS, order=st.lists(st.integers(0, 3), max_size=80))
@settings(deadline=None, max_examples=60)
def test_attempts_in_any_order_never_mix_two_contents_at_one_stamp(
    attempts: list[tuple[list[str], int, bool]], order: list[int]
) -> None:
    """Attempts run step by step in any order, and into each other's reads and writes."""
    records, cells = Records(), Cells()
    running: dict[int, Iterator[str]] = {
        place: _with_replace(records, cells, content, chunk_rows, replace=replace)
        for place, (content, chunk_rows, replace) in enumerate(attempts)
    }
    left = iter(order)
    active: list[int] = []

    def step() -> None:
        who = next(left, None)
        # Who stands inside a step of its own cannot take another.
        if who is None or who in active or who not in running:
            return
        active.append(who)
        if next(running[who], None) is None:
            del running[who]
        active.remove(who)

    records.between = step
    for _ in range(len(order)):
        step()
    records.between = lambda: None
    _check_cells(cells)
    # The last one to replace the content gets exactly its own, whoever wakes up afterwards.
    final = ["a", "Z", "c"]
    for place in [place for place in running if attempts[place][2]]:
        run(running.pop(place))
    run(_with_replace(records, cells, final, 2, replace=True))
    for rest in running.values():
        run(rest)
    _check_cells(cells)
    found = cells.values()
    assert [found[key] for key in range(3)] == final


def _check_cells(cells: Cells) -> None:
    for values in cells.writes.values():
        assert len(values) == 1, "two contents at one stamp"


def _with_replace(
    records: Records, cells: Cells, content: list[str], chunk_rows: int, *, replace: bool
) -> Iterator[str]:
    load = attempt(records, chunk_rows=chunk_rows)
    while True:
        try:
            yield from send(load, cells, content)
        except ContentChangedError:
            if not replace:
                return
            load = load.replaced()
        except SupersededError:
            return
        else:
            return
