"""What the clients that are libraries have in common: rows as Python values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.plane.contest import Job, pieces
from bench.plane.data import KEYSPACE, datasets, plain
from bench.plane.node import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[Any, ...]


def read_job() -> tuple[Job, list[str]]:
    """Return the job that this process was started for, and what it was told besides."""
    access, dataset, data, work, rows, *further = sys.argv[1:]
    job = Job(Access.loads(access), datasets()[dataset], Path(data), Path(work), int(rows) or None)
    return job, further


def insert_of(job: Job) -> str:
    """Return the INSERT of all columns."""
    marks = ", ".join("?" * len(job.columns))
    names = ", ".join(job.columns)
    return f"INSERT INTO {KEYSPACE}.{job.dataset.table} ({names}) VALUES ({marks})"  # noqa: S608


def rows_of(job: Job) -> list[Row]:
    """Return all rows as tuples, as a program that has its data in lists holds them."""
    rows: list[Row] = []
    for piece in pieces(job.dataset, job.data, job.rows):
        rows += zip(*(plain(piece[name]) for name in job.columns), strict=True)
    return rows


def batches_of(job: Job, rows: list[Row]) -> Iterator[list[Row]]:
    """Yield rows of one partition together, as many as go into one batch.

    All rows are put together first, so that input in no order makes full batches too.
    """
    places = [job.columns.index(name) for name in job.dataset.partition]
    together: dict[Row, list[Row]] = {}
    for row in rows:
        together.setdefault(tuple(row[place] for place in places), []).append(row)
    for partition in together.values():
        for first in range(0, len(partition), job.dataset.batch):
            yield partition[first : first + job.dataset.batch]
