"""Keys that are one for Cassandra although their bytes differ."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from cassandra.cqltypes import lookup_casstype
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.cqltype import CqlType, from_driver
from prefect_cassandra.driver.encoded import VariedCells
from prefect_cassandra.writes.batching import arrange
from prefect_cassandra.writes.identity import identities, key_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

DECIMAL = CqlType("decimal")
TEXT = CqlType("text")


def driver_type(kind: CqlType) -> Any:
    """Return the driver's class of a type."""
    inner = [driver_type(arg) for arg in kind.args]
    names = {"set": "SetType", "list": "ListType", "map": "MapType", "tuple": "TupleType"}
    if kind.name in names:
        return lookup_casstype(names[kind.name]).apply_parameters(inner)
    return lookup_casstype({"decimal": "DecimalType", "text": "UTF8Type"}[kind.name])


def encoded(kind: CqlType, values: Sequence[Any]) -> VariedCells:
    serialize = driver_type(kind).serialize
    return VariedCells(pa.array([serialize(value, 5) for value in values], pa.large_binary()))


@pytest.mark.parametrize("partition", [0, 1])
def test_a_single_key_has_the_bytes_that_a_column_of_keys_has(partition: int) -> None:
    names = CqlType("set", (TEXT,))
    kinds = (names, DECIMAL)
    spellings = [
        (driver_type(names).serialize(["a", "b"], 5), driver_type(DECIMAL).serialize(value, 5))
        for value in (Decimal("1.0"), Decimal("1.00"), Decimal(2))
    ]
    columns = [
        VariedCells(pa.array(column, pa.large_binary())) for column in zip(*spellings, strict=True)
    ]
    of_partition = identities(columns[:partition], kinds[:partition], by_value=False)
    of_row = identities(columns[partition:], kinds[partition:], by_value=True)
    whole = [one.array.to_pylist() for one in (*of_partition, *of_row)]  # type: ignore[attr-defined]
    found = [key_identity(one, kinds, partition) for one in spellings]
    assert found == list(zip(*whole, strict=True))
    assert found[0] == found[1] != found[2]


def are_one(kind: CqlType, first: Any, second: Any, *, by_value: bool) -> bool:
    (found,) = identities([encoded(kind, [first, second])], [kind], by_value=by_value)
    return found.value(0) == found.value(1)


SET = CqlType("set", (TEXT,))
DECIMALS = CqlType("set", (DECIMAL,))
MAP = CqlType("map", (TEXT, DECIMAL))
NESTED = CqlType("list", (CqlType("tuple", (DECIMAL, SET)),))


@pytest.mark.parametrize(
    ("kind", "first", "second", "in_partition", "in_clustering"),
    [
        (DECIMAL, Decimal("1.0"), Decimal("1.00"), False, True),
        (DECIMAL, Decimal("1E+3"), Decimal(1000), False, True),
        (DECIMAL, Decimal("0.00"), Decimal(0), False, True),
        (DECIMAL, Decimal("1.0"), Decimal("1.01"), False, False),
        (DECIMAL, Decimal("-1.0"), Decimal("1.0"), False, False),
        (SET, ["b", "a"], ["a", "b"], True, True),
        (SET, ["b", "a", "b"], ["a", "b"], True, True),
        (SET, ["ab", ""], ["a", "b"], False, False),
        (DECIMALS, [Decimal("1.0")], [Decimal("1.00")], False, True),
        (MAP, {"b": Decimal(1), "a": Decimal(2)}, {"a": Decimal(2), "b": Decimal(1)}, True, True),
        (MAP, {"a": Decimal(1)}, {"a": Decimal(2)}, False, False),
        (MAP, {"a": Decimal("1.0")}, {"a": Decimal(1)}, False, True),
        (NESTED, [(Decimal(1), ["b", "a"])], [(Decimal("1.0"), ["a", "b"])], False, True),
        (NESTED, [(Decimal(1), ["b", "a"])], [(Decimal(1), ["a", "b"])], True, True),
        (NESTED, [(None, ["a"])], [(None, ["a"])], True, True),
        (NESTED, [(None, ["a"])], [(Decimal(0), ["a"])], False, False),
        (CqlType("list", (TEXT,)), ["b", "a"], ["a", "b"], False, False),
    ],
)
def test_one_key_may_have_several_spellings(
    kind: CqlType,
    first: Any,
    second: Any,
    in_partition: bool,  # noqa: FBT001 -- a case
    in_clustering: bool,  # noqa: FBT001 -- a case
) -> None:
    assert from_driver(driver_type(kind)) == kind
    assert are_one(kind, first, second, by_value=False) is in_partition
    assert are_one(kind, first, second, by_value=True) is in_clustering


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-100, max_value=100
)


@given(NUMBERS, NUMBERS, st.integers(0, 5))
def test_clustering_decimals_are_one_where_the_numbers_are(
    first: Decimal, second: Decimal, zeros: int
) -> None:
    sign, digits, exponent = first.as_tuple()
    longer = Decimal((sign, (*digits, *[0] * zeros), int(exponent) - zeros))
    assert are_one(DECIMAL, first, longer, by_value=True)
    assert are_one(DECIMAL, first, second, by_value=True) is (first == second)


def test_rows_of_one_clustering_key_are_folded_into_the_last() -> None:
    keys = encoded(DECIMAL, [Decimal("1.0"), Decimal(2), Decimal("1.00")])
    partition = VariedCells(pa.array([b"p"] * 3, pa.large_binary()))
    values = VariedCells(pa.array([b"a", b"b", b"c"], pa.large_binary()))
    found = arrange([partition, keys, values], 1, 2, keep_earlier=True, kinds=[TEXT, DECIMAL])
    assert [found.columns[2].value(row) for row in range(2)] == [b"b", b"c"]
    assert found.merged == 1


def test_partitions_of_one_key_come_together_and_keep_the_order_of_their_rows() -> None:
    keys = encoded(SET, [["b", "a"], ["c"], ["a", "b"]])
    values = VariedCells(pa.array([b"1", b"2", b"3"], pa.large_binary()))
    found = arrange([keys, values], 1, 1, keep_earlier=True, kinds=[SET])
    assert [found.columns[1].value(row) for row in range(2)] == [b"3", b"2"]
    # Decimals of a partition key are told apart by their bytes.
    apart = encoded(DECIMAL, [Decimal("1.0"), Decimal("1.00")])
    assert arrange([apart], 1, 1, keep_earlier=True, kinds=[DECIMAL]).merged == 0
