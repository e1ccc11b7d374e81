from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.sources import Chunk, parts


def chunks(data: object, rows: int = 5_000) -> list[Chunk]:
    found: list[Chunk] = []
    for part in parts(data):
        first = found[-1].first_row + found[-1].size if found else 0
        found += part.chunks(first, rows)
    return found


def values(column: pa.Array | list[Any]) -> list[Any]:
    return column if isinstance(column, list) else column.to_pylist()


TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})


def batches() -> Iterator[pa.RecordBatch]:
    yield from TABLE.to_batches(max_chunksize=2)


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.combine_chunks().to_batches()[0],
        pa.RecordBatchReader.from_batches(TABLE.schema, batches()),
        batches(),
        batches,
        [TABLE.slice(0, 1), TABLE.slice(1)],
        TABLE.to_pylist(),
        tuple(TABLE.to_pylist()),
        TABLE.to_pandas(),
        [TABLE.to_pandas().iloc[:2], TABLE.slice(2), []],
        TABLE.to_pandas().convert_dtypes(),
        TABLE.to_pandas(types_mapper=pd.ArrowDtype),
        pa.table({"a": TABLE["a"], "b": TABLE["b"].dictionary_encode()}),
        TABLE.to_pandas().astype({"b": "category"}),
        TABLE.to_pandas().astype({"b": object}),
    ],
    ids=[
        "table", "batch", "reader", "iterator", "function", "list of tables", "dicts", "tuple of dicts",
        "pandas", "mixed parts", "pandas nullable", "pandas arrow", "dictionary", "category", "object",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [1, 2, 5_000])
def test_parts_give_the_same_rows_whatever_holds_them(data: Any, rows: int) -> None:
    if isinstance(data, Iterator | pa.RecordBatchReader) and rows != 1:
        pytest.skip("an iterator can be read once")
    found = chunks(data, rows)
    assert [v for c in found for v in values(c.columns["a"])] == [1, 2, 3]
    assert [v for c in found for v in values(c.columns["b"])] == ["x", None, "z"]
    starts = [chunk.first_row for chunk in found]
    assert starts == list(np.cumsum([0, *(chunk.size for chunk in found)])[:-1])
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
