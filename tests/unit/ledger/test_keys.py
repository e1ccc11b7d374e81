from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.encoded import FixedCells, VariedCells
from prefect_cassandra.errors import LedgerError
from prefect_cassandra.ledger.keys import KeyFilter, hash_key, hash_rows

if TYPE_CHECKING:
    from prefect_cassandra.driver.encoded import Cells

WIRES = (">i1", ">i2", ">i4", ">i8", ">f4", ">f8", "V3", "V12", "V16", "V27")


@st.composite
def keys(draw: st.DrawFn) -> list[Cells]:
    """Draw the key columns of some rows, of fixed and of varying width."""
    rows = draw(st.integers(0, 6))
    columns: list[Cells] = []
    for _ in range(draw(st.integers(1, 3))):
        wire = draw(st.sampled_from([*WIRES, "varied"]))
        if wire == "varied":
            values = draw(st.lists(st.binary(max_size=40), min_size=rows, max_size=rows))
            # A part of a larger array, as a chunk is of a table.
            array = pa.array([b"before", *values, b"behind"], pa.large_binary()).slice(1, rows)
            columns.append(VariedCells(array))
            continue
        kind = np.dtype(wire)
        size = rows * kind.itemsize
        held = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), kind)
        # Numbers come in the machine's byte order and are sent in the wire's.
        columns.append(FixedCells(held.astype(kind.newbyteorder("=")), kind))
    return columns


@given(keys())
def test_a_column_of_keys_hashes_as_each_key_alone(columns: list[Cells]) -> None:
    rows = range(len(columns[0]))
    alone = [hash_key([column.value(row) or b"" for column in columns]) for row in rows]
    assert hash_rows(columns).tolist() == alone


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=3), max_size=50))
def test_a_key_that_was_written_is_never_denied(written: list[list[bytes]]) -> None:
    hashes = [hash_key(key) for key in written]
    made = KeyFilter.from_bytes(KeyFilter.of(np.array(hashes, np.uint64)).to_bytes())
    assert all(made.might_hold(one) for one in hashes)


def test_few_other_keys_are_taken_for_written() -> None:
    """0.82 % by the formula (1 - e^(-7/10))^7; three standard deviations above are 0.91 %."""
    columns = [
        FixedCells(np.arange(60_000) // 100, np.dtype(">i4")),
        FixedCells(np.arange(60_000) % 100, np.dtype(">i8")),
    ]
    hashes = hash_rows(columns)
    made = KeyFilter.of(hashes[:10_000])
    assert len(made.to_bytes()) <= 12_501
    wrong = sum(made.might_hold(int(one)) for one in hashes[10_000:])
    assert wrong / 50_000 < 0.0095


def test_a_filter_of_nothing_holds_nothing() -> None:
    made = KeyFilter.of(np.empty(0, np.uint64))
    assert not any(made.might_hold(hash_key([bytes([n])])) for n in range(256))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([b"a", b"b"], [b"ab", b""]),
        ([b"a", b"b"], [b"b", b"a"]),
        ([b"a"], [b"a\0"]),
        ([b""], [b"\0"]),
        ([b"a"], [b"a", b""]),
        ([b"12345678"], [b"12345678", b""]),
        ([b"12345678a"], [b"12345678", b"a"]),
    ],
)
def test_keys_that_look_alike_have_hashes_of_their_own(
    one: list[bytes], other: list[bytes]
) -> None:
    assert hash_key(one) != hash_key(other)


def test_the_hash_stays_what_the_ledger_holds() -> None:
    """Filters are kept for weeks: another function would deny keys that were written."""
    assert hash_key([b"JFK", (20_000).to_bytes(4)]) == 9_865_380_269_979_243_096


@pytest.mark.parametrize("kept", [b"", b"\2abcdefgh"])
def test_a_filter_of_another_form_is_refused(kept: bytes) -> None:
    with pytest.raises(LedgerError, match="is of form"):
        KeyFilter.from_bytes(kept)
