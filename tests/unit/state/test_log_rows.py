from __future__ import annotations

import struct
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.state.log_query import BUCKET, HOUR, NOBODY, LogLine, bucket_of
from prefect_cassandra.state.log_rows import LONGEST, LONGEST_NAME, pack
from prefect_cassandra.state.log_shelves import hour_shelf, notes_of, run_shelf, task_shelf

HEAD = b"head"
RUN, TASK = UUID(int=1), UUID(int=2)


def values_of(row: bytes, head: bytes = HEAD) -> list[bytes | None]:
    """Take a row apart as the server does; None is a cell that is left as it is."""
    assert row.startswith(head)
    found: list[bytes | None] = []
    place = len(head)
    while place < len(row):
        (length,) = struct.unpack_from(">i", row, place)
        place += 4
        found.append(None if length == -2 else row[place : place + length])
        place += max(0, length)
    return found


lines = st.builds(
    LogLine,
    id=st.uuids(),
    at=st.integers(0, 5 * BUCKET),
    level=st.integers(-(1 << 40), 1 << 40),
    name=st.text(max_size=3),
    message=st.text(max_size=9),
    flow_run_id=st.sampled_from([None, RUN, UUID(int=3)]),
    task_run_id=st.sampled_from([None, TASK]),
)


@settings(max_examples=50)
@given(st.lists(lines, max_size=8))
def test_every_line_is_in_one_row_of_its_own_partition(some: list[LogLine]) -> None:
    rows = {}
    for batch in pack(HEAD, some):
        for row in batch.rows:
            run, bucket, at, id_, level, task, name, message = values_of(row)
            assert [run, bucket] == batch.key
            assert run is not None
            assert at is not None
            assert level is not None
            line = LogLine(
                id=UUID(bytes=id_),
                at=int.from_bytes(at, signed=True),
                level=int.from_bytes(level, signed=True),
                name=(name or b"").decode(),
                message=(message or b"").decode(),
                flow_run_id=None if UUID(bytes=run) == NOBODY else UUID(bytes=run),
                task_run_id=None if task is None else UUID(bytes=task),
            )
            assert bucket_of(line.at) == batch.bucket
            rows[line.id] = line
    for line in some:
        found = rows[line.id]
        assert found.level == max(-(1 << 31), min((1 << 31) - 1, line.level))
        assert (found.at, found.name, found.message) == (line.at, line.name, line.message)
        assert (found.flow_run_id, found.task_run_id) == (line.flow_run_id, line.task_run_id)


def line(number: int, message: str = "x", **more: UUID | None) -> LogLine:
    return LogLine(UUID(int=number), number, 20, "n", message, **more)


def test_batches_are_cut_by_rows_and_by_bytes() -> None:
    many = [len(batch.rows) for batch in pack(HEAD, [line(n) for n in range(1201)])]
    assert sorted(many) == [201, 500, 500]
    wide = [batch.size for batch in pack(HEAD, [line(n, "x" * 30_000) for n in range(5)])]
    assert len(wide) == 3
    assert max(wide) <= 64 << 10
    (alone,) = pack(HEAD, [line(1, "x" * 200_000)])
    assert len(alone.rows) == 1


def test_a_line_no_node_would_take_is_cut_at_a_character_and_says_so() -> None:
    (batch,) = pack(HEAD, [line(1, "ü" * LONGEST)])
    message = values_of(batch.rows[0])[-1]
    assert message is not None
    text = message.decode()
    assert text.endswith("ü... (cut)")
    assert len(message) <= LONGEST + 20


def test_notes_lead_to_a_line_by_run_by_hour_and_by_task() -> None:
    at = 3 * HOUR + 2 * BUCKET + 5
    one = LogLine(UUID(int=9), at, 20, "n", "m", RUN, TASK)
    bucket, hour = 3 * HOUR + 2 * BUCKET, 3 * HOUR
    assert set(notes_of([one, one])) == {
        (run_shelf(RUN), bucket, RUN),
        (task_shelf(TASK), bucket, RUN),
        (hour_shelf(hour), bucket, RUN),
        ("hours", hour, NOBODY),
    }
    assert hour_shelf(hour) == "hour 1970-01-01T03"
    assert len(notes_of([one])) == len(notes_of([one, one]))
    nobody = LogLine(UUID(int=9), at, 20, "n", "m")
    assert (run_shelf(NOBODY), bucket, NOBODY) in notes_of([nobody])


def test_a_text_in_the_place_of_a_loggers_name_is_cut() -> None:
    long = LogLine(UUID(int=1), 1, 20, "é" * LONGEST_NAME, "x")
    (batch,) = pack(HEAD, [long])
    name, message = values_of(batch.rows[0])[-2:]
    assert name == b"\xc3\xa9" * (LONGEST_NAME // 2) + b"... (cut)"
    assert message == b"x"
