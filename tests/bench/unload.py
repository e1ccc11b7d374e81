"""Ways out of Cassandra beside each other: `make bench-unload`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from bench.load import warm_up as load_a_million
from bench.peers import cqlsh_copy, dsbulk, ours, paging
from bench.plane.contest import Competitor, Job, columns_of, expected_content
from bench.plane.data import USUAL, Content, content_of
from bench.plane.figures import Bar, Ceiling
from bench.plane.sitting import Bench, main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.plane.data import Dataset
    from bench.plane.node import BenchNode

COPY, DSBULK = "cqlsh COPY", "DSBulk"
PARQUET, CSV = "ours, Parquet", "ours, CSV"
COMPETITORS = (
    Competitor(PARQUET, ours.unload_parquet, only=(*USUAL, "large"), kind="parquet"),
    Competitor(DSBULK, dsbulk.unload, kind="csv"),
    Competitor(CSV, ours.unload_csv, only=(*USUAL, "large"), kind="csv"),
    Competitor(COPY, cqlsh_copy.unload, kind="csv"),
    Competitor("driver, one query", paging.one_query),
    Competitor("driver, ranges", paging.ranges),
    Competitor("driver, NumPy", paging.numpy_columns, only=("sensors",)),
)
BARS = (
    *(Bar(name, PARQUET, DSBULK, 3.0, 1 / 5) for name in ("flights", "sensors")),
    *(Bar(name, CSV, DSBULK, 2.0, 1 / 5) for name in ("flights", "sensors")),
    *(Ceiling("large", one, 400) for one in (PARQUET, CSV)),
)


def warm_up(node: BenchNode, data: Path) -> None:
    """Load and read a million rows that nobody counts, so that the node's code is compiled."""
    load_a_million(node, data)


def prepare(node: BenchNode, dataset: Dataset, data: Path) -> None:
    """Fill the table, and let all read files rather than what is still in memory."""
    node.empty(dataset)
    ours.load_parquet(Job(node.access, dataset, data, _folder(data)))
    node.flush()
    found = node.content(dataset, columns_of(dataset, data))
    expected = expected_content(dataset, data, None)
    assert found == expected, f"{dataset.name} was not loaded well: {found} is not {expected}"


def content(_node: BenchNode, competitor: Competitor, job: Job) -> Content:
    """Return what is in the files, or what a reader without files counted."""
    if not competitor.kind:
        rows = int((job.work / "rows").read_text(encoding="utf-8"))
        return Content(rows, expected_content(job.dataset, job.data, None).checksum)
    if job.dataset.counted:
        return Content(sum(len(piece) for piece in _read(job, competitor.kind)), 0)
    return content_of(_read(job, competitor.kind), job.columns)


def _read(job: Job, kind: str) -> Iterator[pa.Table]:
    schema = pq.read_schema(job.dataset.file(job.data, "parquet"))
    for file in sorted(job.out.rglob(f"*.{kind}")):
        yield pq.read_table(file) if kind == "parquet" else _read_csv(file, schema)


def _read_csv(file: Path, schema: pa.Schema) -> pa.Table:
    convert = csv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        timestamp_parsers=["%Y-%m-%d %H:%M:%S%z", csv.ISO8601],
    )
    return csv.read_csv(file, convert_options=convert)


def _folder(data: Path) -> Path:
    folder = data.parent / "work" / "prepare"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


BENCH = Bench(
    "unload", COMPETITORS, BARS, ("flights", "sensors", "wide"), prepare, content, warm_up
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
