from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.sources import Chunk, parts, read_only_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def chunks(data: object, rows: int = 5_000) -> list[Chunk]:
    found: list[Chunk] = []
    for part in parts(data):
        first = found[-1].positions[-1] + 1 if found else 0
        found += part.chunks(first, rows=rows)
    return found


def values(column: pa.Array | list[Any]) -> list[Any]:
    return column if isinstance(column, list) else column.to_pylist()


TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})


def batches() -> Iterator[pa.RecordBatch]:
    yield from TABLE.to_batches(max_chunksize=2)


HOLDERS: dict[str, Callable[[], object]] = {
    "table": lambda: TABLE,
    "batch": lambda: TABLE.combine_chunks().to_batches()[0],
    "reader": lambda: pa.RecordBatchReader.from_batches(TABLE.schema, batches()),
    "iterator": batches,
    "function": lambda: batches,
    "list of tables": lambda: [TABLE.slice(0, 1), TABLE.slice(1)],
    "list of dicts": TABLE.to_pylist,
    "tuple of dicts": lambda: tuple(TABLE.to_pylist()),
    "mixed parts": lambda: [TABLE.to_pandas().iloc[:2], TABLE.slice(2), []],
    "dictionary": lambda: pa.table({"a": TABLE["a"], "b": TABLE["b"].dictionary_encode()}),
    "pandas": TABLE.to_pandas,
    "pandas nullable": lambda: TABLE.to_pandas().convert_dtypes(),
    "pandas arrow": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas category": lambda: TABLE.to_pandas().astype({"b": "category"}),
    "pandas object": lambda: TABLE.to_pandas().astype({"b": object}),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
@pytest.mark.parametrize("rows", [1, 2, 5_000])
def test_parts_give_the_same_rows_whatever_holds_them(
    holder: Callable[[], object], rows: int
) -> None:
    found = chunks(holder(), rows)
    assert [v for c in found for v in values(c.columns["a"])] == [1, 2, 3]
    assert [v for c in found for v in values(c.columns["b"])] == ["x", None, "z"]
    assert [position for chunk in found for position in chunk.positions] == [0, 1, 2]
    assert max(chunk.size for chunk in found) <= rows


def test_parts_read_any_arrow_stream() -> None:
    class Stream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return TABLE.__arrow_c_stream__(requested_schema)

    assert sum(chunk.size for chunk in chunks(Stream())) == 3


def test_parts_keep_columns_that_only_the_last_dict_names() -> None:
    (part,) = parts([{"a": 1}, {"a": 2, "typo": 3}])
    assert list(part.types) == ["a", "typo"]
    (chunk,) = part.chunks(0)
    assert chunk.columns["typo"] == [None, 3]


def test_parts_tell_a_pandas_gap_from_a_number() -> None:
    frame = pd.DataFrame(
        {
            "f": [1.5, np.nan],
            "o": [np.nan, "x"],
            "t": pd.to_datetime([None, "2013-01-01"], utc=True),
        }
    )
    (part,) = parts(frame)
    (chunk,) = part.chunks(0)
    assert part.nan_is_missing
    assert chunk.nan_is_missing
    assert np.isnan(values(chunk.columns["f"])[1])
    assert values(chunk.columns["o"])[0] is None
    assert values(chunk.columns["t"])[0] is None


def test_parts_keep_mixed_python_objects_as_they_are() -> None:
    frame = pd.DataFrame({"o": [{1, 2}, None, pd.NA, pd.NaT]})
    (chunk,) = chunks(frame)
    assert chunk.columns["o"] == [{1, 2}, None, None, None]


def test_parts_remember_what_the_index_holds() -> None:
    (part,) = parts(pd.DataFrame({"a": [1]}, index=pd.Index([5], name="day")))
    assert part.index_names == ("day",)


@pytest.mark.parametrize("data", ["text", b"bytes", 3, {"a": [1]}, [1, 2], None])
def test_parts_refuse_what_holds_no_rows(data: object) -> None:
    with pytest.raises(DataError, match="cannot load rows from"):
        chunks(data)


def test_parts_refuse_a_column_named_twice() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(DataError, match="names a column twice: a"):
        chunks(table)
    with pytest.raises(DataError, match="names a column twice: a"):
        chunks(table.to_pandas())


def test_parts_of_an_empty_table_still_name_its_columns() -> None:
    (part,) = parts(TABLE.slice(0, 0))
    assert list(part.types) == ["a", "b"]
    assert list(part.chunks(0)) == []


def test_chunks_of_scattered_keys_are_large() -> None:
    (part,) = parts(pa.table({"p": [n % 7 for n in range(1_000)], "q": ["x"] * 1_000}))
    (found,) = part.chunks(50, ["p", "q"], rows=100)
    assert found.positions == range(50, 1_050)


@pytest.mark.parametrize(
    "key",
    [
        pa.array([n // 10 for n in range(1_000)]),
        pa.array([uuid.UUID(int=n // 10) for n in range(1_000)], pa.uuid()),
        pa.array([n % 500 // 250 for n in range(1_000)]),
        pa.array([[n % 7] for n in range(1_000)]),
    ],
    ids=["side by side", "side by side uuids", "long runs", "not comparable"],
)
def test_chunks_of_keys_that_need_no_order_are_small(key: pa.Array) -> None:
    (part,) = parts(pa.table({"p": key}))
    assert [chunk.size for chunk in part.chunks(0, ["p"], rows=100)] == [100] * 10


@pytest.mark.parametrize("key", [[[n % 2] for n in range(10)], [{n % 2} for n in range(10)]])
def test_chunks_of_python_keys_are_small(key: list[Any]) -> None:
    (part,) = parts(pd.DataFrame({"p": key, "n": range(10)}))
    assert [chunk.size for chunk in part.chunks(0, ["p"], rows=5)] == [5, 5]


def test_chunks_end_with_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_cassandra.writes.sources.WINDOW_ROWS", 4)
    (part,) = parts(pa.table({"p": [1, 0, 1, 0, 1, 0]}))
    assert [chunk.positions for chunk in part.chunks(0, ["p"], rows=2)] == [range(4), range(4, 6)]


def test_chunks_of_wide_rows_hold_fewer_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_cassandra.writes.sources.WINDOW_BYTES", 40_000)
    (part,) = parts(pa.table({"p": [1, 0] * 10, "body": ["x" * 10_000] * 20}))
    sizes = [chunk.size for chunk in part.chunks(0, ["p"], rows=2)]
    assert sum(sizes) == 20
    assert max(sizes) == 3


def test_what_is_used_up_by_reading_is_known() -> None:
    batch = pa.record_batch({"a": [1]})
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
    assert read_only_once(iter([batch]))
    assert read_only_once(reader)
    assert read_only_once([batch, reader])
    assert read_only_once(((reader,), batch))
    assert not read_only_once([batch, [{"a": 1}]])
    assert not read_only_once(lambda: reader)
