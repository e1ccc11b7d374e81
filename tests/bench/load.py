"""Ways into Cassandra beside each other: `make bench-load`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from bench.peers import acsylla_batches, batch_statements, concurrent, cqlsh_copy, dsbulk, ours
from bench.plane.contest import Competitor, Job, columns_of, measure
from bench.plane.data import USUAL, datasets
from bench.plane.figures import Bar, Ceiling
from bench.plane.sitting import Bench, main

if TYPE_CHECKING:
    from pathlib import Path

    from bench.plane.data import Content, Dataset
    from bench.plane.node import BenchNode

COPY, DSBULK, ACSYLLA = "cqlsh COPY", "DSBulk", "acsylla batches"
BATCHES, ROWS = "BatchStatement", "execute_concurrent"
CSV, PARQUET, MEMORY = "ours, CSV", "ours, Parquet", "ours, memory"
# acsylla cannot leave a cell unset, and the flights have nulls.
WITHOUT_NULLS = ("sensors", "shuffled", "wide")
FILES, PEERS = (CSV, PARQUET), (COPY, DSBULK, BATCHES, ACSYLLA, ROWS)

COMPETITORS = (
    Competitor(CSV, ours.load_csv, only=(*USUAL, "large")),
    Competitor(DSBULK, dsbulk.load),
    Competitor(PARQUET, ours.load_parquet, only=(*USUAL, "large")),
    Competitor(COPY, cqlsh_copy.load),
    Competitor(MEMORY, ours.load_memory),
    Competitor(ACSYLLA, acsylla_batches.load, only=WITHOUT_NULLS),
    Competitor(BATCHES, batch_statements.load),
    Competitor(ROWS, concurrent.load, rows=100_000, only=("flights", "sensors")),
)
BARS = (
    *(Bar(name, one, DSBULK, 4.0, 1 / 8) for name in ("flights", "sensors") for one in FILES),
    *(Bar(name, one, COPY, 4.0) for name in ("flights", "sensors") for one in FILES),
    Bar("sensors", MEMORY, ACSYLLA, 0.95, 1.0),
    # Who has the rows in files is compared with files, who has them in memory with memory.
    *(Bar(name, CSV, peer, 1.0) for name in ("shuffled", "wide") for peer in (COPY, DSBULK)),
    *(Bar(name, MEMORY, peer, 1.0) for name in ("shuffled", "wide") for peer in (BATCHES, ACSYLLA)),
    *(Ceiling("large", one, 400) for one in FILES),
)


def warm_up(node: BenchNode, data: Path) -> None:
    """Write a million rows that nobody counts, so that the node's code is compiled."""
    dataset = datasets()["sensors"]
    node.empty(dataset)
    job = Job(node.access, dataset, data, data.parent / "work" / "warm-up")
    measure(node, Competitor("warm-up", ours.load_parquet), job, partial(content, node))


def prepare(_node: BenchNode, dataset: Dataset, data: Path) -> None:
    """Write the data set's files, so that nobody's turn includes it."""
    for kind in ("csv", "parquet"):
        dataset.file(data, kind)


def content(node: BenchNode, _competitor: Competitor, job: Job) -> Content:
    """Return what is in the table now."""
    return node.content(job.dataset, columns_of(job.dataset, job.data))


BENCH = Bench("load", COMPETITORS, BARS, USUAL, prepare, content, warm_up)

if __name__ == "__main__":
    sys.exit(main(BENCH))
