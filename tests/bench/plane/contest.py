"""Competitors in turns, round after round, and what each of them really did."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from bench.plane.data import USUAL, Content, content_of
from bench.plane.meter import Usage, calibration, reported, run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from bench.plane.data import Dataset
    from bench.plane.node import Access, BenchNode


@dataclass(frozen=True)
class Job:
    """What a competitor is asked to do.

    Args:
        access: How to connect.
        dataset: What to load, or which table to unload.
        data: Folder of the data sets' files.
        work: An empty folder for logs and for what is unloaded.
        rows: Only so many rows; all when None.
    """

    access: Access
    dataset: Dataset
    data: Path
    work: Path
    rows: int | None = None

    @property
    def log(self) -> Path:
        """Return the file for everything that is printed."""
        return self.work / "output.log"

    @property
    def out(self) -> Path:
        """Return the folder for what is unloaded; the competitor makes it."""
        return self.work / "unloaded"

    @property
    def columns(self) -> list[str]:
        """Return the columns in the order of the files."""
        return columns_of(self.dataset, self.data)

    def command(self, command: Sequence[str]) -> Usage:
        """Run a program and count it from its start to its end."""
        return run_command(command, self.log, self._environment())

    def module(self, module: str, *arguments: str) -> Usage:
        """Run a module of ours that prepares its data first and prints what the rest took."""
        self.command([sys.executable, "-m", module, *self.arguments(*arguments)])
        return reported(self.log)

    def arguments(self, *further: str) -> list[str]:
        """Return what `read_job` understands."""
        rows = str(self.rows or 0)
        places = (str(self.data), str(self.work))
        return [self.access.dumps(), self.dataset.name, *places, rows, *further]

    def _environment(self) -> dict[str, str]:
        return {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}


@dataclass(frozen=True)
class Competitor:
    """One way in or out.

    Args:
        name: As it is printed.
        run: Does the job and says what it took.
        rows: It gets only so many rows: more would only take longer.
        only: Data sets it takes part in.
        kind: File format of what it unloads; empty when it writes nothing.
    """

    name: str
    run: Callable[[Job], Usage]
    rows: int | None = None
    only: Sequence[str] = USUAL
    kind: str = ""

    def takes(self, dataset: Dataset) -> bool:
        """Tell whether it takes part."""
        return dataset.name in self.only


@dataclass(frozen=True)
class Measured:
    """One run of one competitor.

    Args:
        dataset: Name of the data set.
        competitor: Name of the competitor.
        rows: Rows that were verified to be there.
        seconds: Wall time.
        client: Seconds of the client's processor time.
        server: The same of the node.
        peak: Most memory the client held, in MiB.
        loop: Seconds of the calibration loop right before.
    """

    dataset: str
    competitor: str
    rows: int
    seconds: float
    client: float
    server: float
    peak: float
    loop: float

    @property
    def speed(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds

    @property
    def cost(self) -> float:
        """Seconds of the client's processor time per million rows."""
        return self.client / self.rows * 1e6

    @property
    def served(self) -> float:
        """Seconds of the node's processor time per million rows."""
        return self.server / self.rows * 1e6


class WrongContentError(AssertionError):
    """A competitor did not do what it said."""


def measure(node: BenchNode, competitor: Competitor, job: Job, check: Any) -> Measured:
    """Let one competitor do its job, verify it and return what it took.

    Args:
        node: The node it works on.
        competitor: Who.
        job: What.
        check: Returns the content that is there afterwards, for `(competitor, job)`.

    Raises:
        WrongContentError: Count or checksum is not what it should be.
    """
    shutil.rmtree(job.work, ignore_errors=True)
    job.work.mkdir(parents=True)
    job = replace(job, rows=competitor.rows)
    loop, served = calibration(), node.cpu
    used = competitor.run(job)
    served = node.cpu - served
    expected = expected_content(job.dataset, job.data, competitor.rows)
    found = check(competitor, job)
    if found != expected:
        raise WrongContentError(f"{competitor.name}, {job.dataset.name}: {found} is not {expected}")
    return Measured(
        dataset=job.dataset.name,
        competitor=competitor.name,
        rows=expected.rows,
        seconds=used.seconds,
        client=used.cpu,
        server=served,
        peak=used.peak,
        loop=loop,
    )


def keep(path: Path, one: Measured) -> None:
    """Add one run to a file, so that a bench can be made in several sittings."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(asdict(one))}\n")


def kept(path: Path) -> list[Measured]:
    """Read what `keep` wrote."""
    if not path.exists():
        return []
    return [Measured(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def columns_of(dataset: Dataset, data: Path) -> list[str]:
    """Return the data set's columns."""
    return list(pq.read_schema(dataset.file(data, "parquet")).names)


def pieces(dataset: Dataset, data: Path, rows: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield a data set's rows from its file, only the first `rows` where that is given."""
    left = rows or sys.maxsize
    with pq.ParquetFile(dataset.file(data, "parquet")) as file:
        for batch in islice(file.iter_batches(100_000), -(-left // 100_000)):
            yield batch.slice(0, left)
            left -= len(batch)


@cache
def expected_content(dataset: Dataset, data: Path, rows: int | None) -> Content:
    """Return what must be there after a data set was loaded."""
    if dataset.counted:
        return Content(pq.read_metadata(dataset.file(data, "parquet")).num_rows, 0)
    return content_of(pieces(dataset, data, rows), columns_of(dataset, data))
