"""Whole columns come out as the bytes that the driver writes value by value."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cassandra import ConsistencyLevel, cqltypes
from cassandra.protocol import BatchMessage, ColumnMetadata
from cassandra.query import UNSET_VALUE, BatchType, PreparedStatement
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.driver.arrow_types import DURATION, arrow_type
from prefect_cassandra.driver.encoded import (
    NULL,
    UNSET,
    Cells,
    FixedCells,
    VariedCells,
    encode_rows,
    statement_head,
    value_encoder,
)
from prefect_cassandra.driver.frames import Frame, FrameMessage, routing_key
from prefect_cassandra.driver.prepared import Prepared
from prefect_cassandra.driver.types import Duration
from prefect_cassandra.writes.wire import Encoded, encode
from support.cql_types import SCALARS, Typed, any_type

CQL = "INSERT INTO ks.t (a) VALUES (?)"


def prepared(*types: Any) -> Prepared:
    columns = [ColumnMetadata("ks", "t", f"c{place}", kind) for place, kind in enumerate(types)]
    statement = PreparedStatement(columns, b"sixteen bytes id", [0], CQL, None, 5, [], None)
    return Prepared(CQL, statement)


def column_of(typed: Typed, values: list[Any]) -> pa.Array:
    # pyarrow makes no UUIDs inside lists of Python values; their bytes are the same to a load.
    raw = dict.fromkeys(("uuid", "timeuuid"), pa.binary(16))
    kind = arrow_type(prepared(typed.driver).types[0], raw)
    return pa.array([None if one is None else typed.arrow(one) for one in values], kind)


def sent(encoded: Encoded) -> list[bytes | None]:
    return [encoded.cells.value(row) for row in range(len(encoded.cells))]


@pytest.mark.parametrize("typed", SCALARS, ids=lambda typed: typed.driver.typename)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_scalars_are_written_as_the_driver_writes_them(typed: Typed, data: Any) -> None:
    values = data.draw(st.lists(st.none() | typed.values, max_size=5))
    encoder = value_encoder(prepared(typed.driver), 0)
    encoded = encode(column_of(typed, values), encoder)
    assert encoded.problems == []
    assert sent(encoded) == [None if one is None else encoder.encode(one) for one in values]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_type_is_written_as_the_driver_writes_it(data: Any) -> None:
    typed = data.draw(any_type())
    values = data.draw(st.lists(st.none() | typed.values, max_size=5))
    encoder = value_encoder(prepared(typed.driver), 0)
    column = column_of(typed, [None, *values, None]).slice(1, len(values))
    encoded = encode(column, encoder)
    assert encoded.problems == []
    assert sent(encoded) == [None if one is None else encoder.encode(one) for one in values]


def nested(cql: Any, column: pa.Array) -> tuple[list[bytes | None], list[tuple[int, str]]]:
    encoded = encode(column, value_encoder(prepared(cql), 0))
    return sent(encoded), [(problem.row, problem.reason) for problem in encoded.problems]


INTS = cqltypes.ListType.apply_parameters([cqltypes.Int32Type])
FLOATS = cqltypes.VectorType.apply_parameters([cqltypes.FloatType, 2], None)
COUNTS = cqltypes.MapType.apply_parameters([cqltypes.UTF8Type, cqltypes.ByteType])
PAIR = cqltypes.UserType.make_udt_class(
    "ks", "pair", ("a", "b"), (cqltypes.Int32Type, cqltypes.UTF8Type)
)


@pytest.mark.parametrize(
    ("cql", "column", "row", "words"),
    [
        (INTS, pa.array([[], [1], [2, None]]), 2, "cannot hold null"),
        (INTS, pa.array([None, [1, 2**40], [3]]), 1, "out of the range of int"),
        (INTS, pa.array([[1.5]]), 0, "not int"),
        (FLOATS, pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32())), 1, "1 elements"),
        (FLOATS, pa.array([None, [1.0, None]], pa.list_(pa.float32(), 2)), 1, "hold null"),
        (FLOATS, pa.array([[1e300, 0.0]]), 0, "out of the range of float"),
        (
            COUNTS,
            pa.array([[], [("a", 1), ("b", 300)]], pa.map_(pa.string(), pa.int64())),
            1,
            "300 is out of the range of tinyint",
        ),
        (PAIR, pa.array([{"a": 1}, {"a": 2**40}]), 1, "out of the range of int"),
        (PAIR, pa.array([{"a": 1, "c": 2}]), 0, "no field 'c'"),
    ],
)
def test_elements_that_do_not_fit_are_named_by_their_row(
    cql: Any, column: pa.Array, row: int, words: str
) -> None:
    values, problems = nested(cql, column)
    assert [place for place, _ in problems] == [row]
    assert words in problems[0][1]
    assert values[row] is None


def test_nulls_with_something_underneath_stay_null() -> None:
    lists = pa.ListArray.from_arrays([0, 1, 2], pa.array([7, 2**40]), mask=pa.array([False, True]))
    assert nested(INTS, lists) == ([b"\0\0\0\1\0\0\0\4\0\0\0\7", None], [])


def test_time_inside_a_list_keeps_its_nanoseconds() -> None:
    times = cqltypes.ListType.apply_parameters([cqltypes.TimeType])
    values, problems = nested(times, pa.array([[1]], pa.list_(pa.time64("ns"))))
    assert (values, problems) == ([b"\0\0\0\1\0\0\0\x08" + bytes(7) + b"\1"], [])


@pytest.mark.parametrize(
    ("driver", "column", "value"),
    [
        (
            cqltypes.DurationType,
            pa.array([{"months": 1, "days": 2, "nanoseconds": 3}], DURATION),
            Duration(1, 2, 3),
        ),
        (cqltypes.IntegerType, pa.array([str(10**60)]), 10**60),
        (cqltypes.DecimalType, pa.array(["-1.50"]), Decimal("-1.50")),
    ],
)
def test_what_other_formats_hold_instead_is_taken(driver: Any, column: Any, value: Any) -> None:
    encoder = value_encoder(prepared(driver), 0)
    assert sent(encode(column, encoder)) == [encoder.encode(value)]


@pytest.mark.parametrize("text", ["", "1.5", "1_0", "x", "٣"])
def test_text_that_is_no_whole_number_is_refused(text: str) -> None:
    _, problems = nested(cqltypes.IntegerType, pa.array([text]))
    assert [row for row, _ in problems] == [0]


def cells_of(column: list[bytes | None], *, fixed: bool) -> Cells:
    if not fixed:
        return VariedCells(pa.array(column, pa.large_binary()))
    missing = np.array([one is None for one in column])
    raw = np.frombuffer(b"".join(one or b"\0\0\0" for one in column), "V3")
    return FixedCells(raw, np.dtype("V3"), missing if missing.any() else None)


@pytest.mark.parametrize("version", [4, 5])
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=5),
            st.none() | st.binary(min_size=3, max_size=3),
            st.none() | st.binary(max_size=300),
        ),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
    st.integers(0, 2**63 - 1),  # the driver cannot write times before 1970
)
@settings(max_examples=25, deadline=None)
def test_frame_is_what_the_driver_would_send(
    version: int,
    values: list[tuple[bytes | None, ...]],
    unset: bool,  # noqa: FBT001 -- drawn
    timestamp: int,
) -> None:
    statement = prepared(*[cqltypes.BytesType] * 3)
    level = ConsistencyLevel.LOCAL_QUORUM
    left = UNSET_VALUE if unset else None
    queries = [
        (True, statement.statement.query_id, [left if one is None else one for one in row])
        for row in values
    ]
    expected = io.BytesIO()
    usual = BatchMessage(BatchType.UNLOGGED, queries, level, None, timestamp)
    usual.send_body(expected, version)

    columns = [list(column) for column in zip(*values, strict=True)]
    cells = [cells_of(column, fixed=place == 1) for place, column in enumerate(columns)]
    rows = encode_rows(statement_head(statement), cells, UNSET if unset else NULL)
    frame = Frame(rows.body(0, len(rows)), len(rows), b"", "ks")
    found = io.BytesIO()
    FrameMessage(frame, usual).send_body(found, version)
    assert found.getvalue() == expected.getvalue()
    # Half of the rows is half of the body.
    half = len(rows) // 2
    assert bytes(rows.body(0, half)) + bytes(rows.body(half, len(rows))) == bytes(rows.data)


def test_routing_key_is_the_one_of_the_driver() -> None:
    kinds = [cqltypes.UTF8Type, cqltypes.Int32Type]
    columns = [ColumnMetadata("ks", "t", f"c{n}", kind) for n, kind in enumerate(kinds)]
    for indexes, parts in (([0], [b"JFK"]), ([0, 1], [b"JFK", b"\0\0\0\7"])):
        statement = PreparedStatement(columns, b"id", indexes, CQL, None, 5, [], None)
        assert routing_key(parts) == statement.bind(["JFK", 7]).routing_key
