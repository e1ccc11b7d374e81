"""Add one to every integer of a CSV file: into a file beside it, and into Cassandra.

The smallest complete flow: a parameter, a cached extract, a mapped transform, retries with a delay,
an atomic file and an idempotent load.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from prefect import flow, get_run_logger, task
from prefect.cache_policies import TASK_SOURCE, CachePolicy

from prefect_cassandra import CassandraCluster, cassandra_execute, load_table

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State
    from prefect.context import TaskRunContext

TABLE = "values_demo.by_file"
DELETE_REST = "DELETE FROM values_demo.by_file WHERE file = ? AND line > ?"
HEADER = ["value"]
LARGEST = 2**63 - 2  # one more still fits Cassandra's bigint
RETRY_DELAYS = [1.0, 5.0, 15.0]  # seconds

load = load_table.with_options(retries=3, retry_delay_seconds=RETRY_DELAYS)
execute = cassandra_execute.with_options(retries=3, retry_delay_seconds=RETRY_DELAYS)


class BadLineError(ValueError):
    """A line of the input is not what it must be; the message names file and line."""


def parse_line(path: str, line: int, cells: list[str]) -> int:
    """Return the integer that one line holds.

    Raises:
        BadLineError: The line is not exactly one whole number that fits 64 bits.
    """
    text = ",".join(cells).strip()
    # int() alone would also take "1_000" and digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise BadLineError(f"{path}, line {line}: {text!r} is not a whole number")
    if len(text) > 20 or abs(int(text)) > LARGEST:  # noqa: PLR2004 -- a sign and 19 digits
        raise BadLineError(f"{path}, line {line}: {text[:40]} does not fit 64 bits")
    return int(text)


def output_path(path: str, folder: str = "") -> Path:
    """Return the file that the results go to: `a.plus-one.csv` for `a.csv`."""
    source = Path(path)
    return Path(folder or source.parent) / f"{source.stem}.plus-one{source.suffix}"


def content_key(_context: TaskRunContext, parameters: dict[str, Any]) -> str | None:
    """Return a cache key that changes with the file's content; None, no caching, without a file."""
    source = Path(parameters["path"])
    if not source.is_file():
        return None
    return f"{source}-{hashlib.sha256(source.read_bytes()).hexdigest()}"


def retry_can_help(_task: object, _run: object, state: State[Any]) -> bool:
    """Say no when the file itself is wrong: it will be just as wrong in five seconds."""
    try:
        state.result()
    except BadLineError:
        return False
    except Exception:  # noqa: BLE001 -- whatever else went wrong may pass
        return True
    return True


@task(
    cache_policy=TASK_SOURCE + CachePolicy.from_cache_key_fn(content_key),
    cache_expiration=timedelta(days=1),
    retries=3,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=retry_can_help,
)
def extract(path: str) -> list[int]:
    """Read all integers of the file, or none: the first bad line ends the run.

    Raises:
        BadLineError: The header or a line is wrong.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        if (header := next(reader, [])) != HEADER:
            raise BadLineError(f"{path}, line 1: the header is {header}, not {HEADER}")
        values = [parse_line(path, line, cells) for line, cells in enumerate(reader, start=2)]
    get_run_logger().info("Read %s values from %s", len(values), path)
    return values


@task
def add_one(values: list[int]) -> list[int]:
    """Return each value plus one."""
    return [value + 1 for value in values]


@task(retries=3, retry_delay_seconds=RETRY_DELAYS)
def write_file(path: str, values: list[int], folder: str = "") -> Path:
    """Write the values, beside the input by default; a reader sees the old file or the new one."""
    target = output_path(path, folder)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([HEADER, *([value] for value in values)])
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def as_table(path: str, values: list[int], results: list[int]) -> pa.Table:
    """Return the rows of `values_demo.by_file`; line 1 of the file is its header."""
    return pa.table(
        {
            "file": pa.array([path] * len(values), pa.string()),
            "line": pa.array(range(2, len(values) + 2), pa.int32()),
            "value": pa.array(values, pa.int64()),
            "plus_one": pa.array(results, pa.int64()),
        }
    )


@flow(name="values")
def values(
    path: str, cluster: str = "values-demo", chunk_size: int = 1000, folder: str = ""
) -> int:
    """Add one to every integer of a CSV file, into another file and into Cassandra.

    Args:
        path: A CSV file with the header `value` and one whole number a line.
        cluster: Name of the `CassandraCluster` block to write to.
        chunk_size: Values that one mapped task takes.
        folder: Where the resulting file goes; beside the input when empty.

    Returns:
        How many values were written.
    """
    numbers = extract(path)
    chunks = [numbers[at : at + chunk_size] for at in range(0, len(numbers), chunk_size)]
    results = [value for chunk in add_one.map(chunks).result() for value in chunk]
    write_file(path, results, folder)

    database = CassandraCluster.load(cluster)
    load(database, TABLE, as_table(path, numbers, results))
    # The file may have been longer once: lines that it no longer has go too.
    execute(database, DELETE_REST, [path, len(numbers) + 1])
    return len(numbers)


if __name__ == "__main__":
    values("flows/values/sample.csv")
