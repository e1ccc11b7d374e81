"""What rows held before chunks that are undone, told from images that are kept in memory."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from prefect_cassandra.driver.cqltype import CqlType
from prefect_cassandra.driver.encoded import VariedCells
from prefect_cassandra.writes import undo_images
from prefect_cassandra.writes.before_images import Image, Keyed
from prefect_cassandra.writes.row_reader import Cell, FoundRows
from prefect_cassandra.writes.undo_images import ImagedChunks, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST, STEP = 1_000, 4
Written = int | None
TABLE: Any = SimpleNamespace(
    keyspace="k",
    name="t",
    primary_key=("p",),
    partition_key=("p",),
    columns=[
        SimpleNamespace(name="p", kind="partition_key"),
        SimpleNamespace(name="v", kind="regular"),
    ],
)


def one_row(value: bytes | None, written: Written, *, there: bool = True) -> Keyed:
    """Return the row of key 1 with one column."""
    cell = Cell(
        pa.array([value], pa.binary()), pa.array([written], pa.int64()), pa.nulls(1, pa.int32())
    )
    keys = [VariedCells(pa.array([b"1"], pa.large_binary()))]
    return Keyed(keys, FoundRows(pa.array([there]), {"v": cell}))


class Table:
    """A table of one row, and the images of the chunks that wrote it."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, now: Keyed, images: dict[int, Keyed]
    ) -> None:
        self.reads: Counter[int] = Counter()

        def read_image(_session: Any, _table: str, start: int, _number: int) -> Image | None:
            self.reads[start] += 1
            return Image(images[start], None, start) if start in images else None

        monkeypatch.setattr(undo_images, "read_image", read_image)
        monkeypatch.setattr(undo_images, "read_rows", lambda *_: now.found)
        monkeypatch.setattr(undo_images, "key_kinds", lambda *_, **__: (CqlType("text"),))

    def chunks(self, imaged: Sequence[int], blind: Sequence[int] = ()) -> ImagedChunks:
        places = {stamp: Place(stamp, 0) for stamp in imaged}
        session: Any = None
        return ImagedChunks(
            session, TABLE, sorted(places), places, set(blind), 10**9, lambda _: ({}, [])
        )


@pytest.mark.parametrize("new", [True, False])
def test_a_key_of_a_thousand_chunks_gets_back_what_was_before_all_of_them(
    monkeypatch: pytest.MonkeyPatch, *, new: bool
) -> None:
    stamps = [FIRST + STEP * number for number in range(1_200)]
    images = {stamp: one_row(b"ours", before) for before, stamp in pairwise(stamps)}
    images[FIRST] = one_row(None, None, there=False) if new else one_row(b"old", 7)
    table = Table(monkeypatch, one_row(b"ours", stamps[-1]), images)
    found = table.chunks(stamps).rows(stamps[-1])
    assert found is not None
    assert found.remove.tolist() == [stamps[-1] if new else 0]
    assert found.columns["v"].restores.tolist() == [not new]
    assert found.columns["v"].value.to_pylist() == [None if new else b"old"] or new
    # Once to tell whether the row was there, once for what its cell held.
    assert max(table.reads.values()) <= 2


BLIND, IMAGED = 2_000, 2_004


@pytest.mark.parametrize(
    ("older", "removed", "restored"),
    [
        # Without an image, the chunk that wrote the row first is taken to have made it.
        (one_row(b"blind", BLIND), IMAGED, False),
        # Somebody else's cell is there to come back.
        (one_row(b"old", 7), 0, True),
        (one_row(None, None, there=False), IMAGED, False),
    ],
)
def test_an_older_chunk_without_an_image_made_the_row(
    monkeypatch: pytest.MonkeyPatch, older: Keyed, removed: int, *, restored: bool
) -> None:
    table = Table(monkeypatch, one_row(b"ours", IMAGED), {IMAGED: older})
    found = table.chunks([IMAGED], [BLIND]).rows(IMAGED)
    assert found is not None
    assert found.remove.tolist() == [removed]
    assert found.columns["v"].restores.tolist() == [restored]


def test_a_row_that_a_chunk_without_an_image_wrote_last_was_new_by_the_image_of_an_older_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = one_row(None, None, there=False)
    table = Table(monkeypatch, one_row(b"blind", 3_000), {IMAGED: new})
    found = table.chunks([IMAGED], [3_000]).rows(IMAGED)
    assert found is not None
    assert (found.remove.tolist(), found.gone.tolist()) == ([3_000], [True])
    old = one_row(b"old", 7)
    table = Table(monkeypatch, one_row(b"blind", 3_000), {IMAGED: old})
    found = table.chunks([IMAGED], [3_000]).rows(IMAGED)
    assert found is not None
    # Its cells are for the scan.
    assert (found.remove.tolist(), found.columns["v"].stamps.tolist()) == ([0], [0])


def test_a_row_of_a_marker_alone_may_be_an_older_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = one_row(None, None)
    images = {FIRST: one_row(None, None, there=False), IMAGED: marked}
    table = Table(monkeypatch, marked, images)
    chunks = table.chunks([FIRST, IMAGED])
    found = [chunks.rows(stamp) for stamp in (FIRST, IMAGED)]
    assert [one.remove.tolist() for one in found if one is not None] == [[FIRST], [IMAGED]]
    # It is one row, and counted once.
    assert sum(int(np.count_nonzero(one.gone)) for one in found if one is not None) == 1
    # One that was there before both stays.
    images[FIRST] = marked
    chunks = table.chunks([FIRST, IMAGED])
    again = chunks.rows(IMAGED)
    assert again is not None
    assert again.remove.tolist() == [0]
