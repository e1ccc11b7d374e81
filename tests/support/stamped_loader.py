"""A process that loads rows in batches and asks before each of them whether it may go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.ledger.blocks import Provenance
from prefect_cassandra.writes import stamped as stamped_chunks
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from prefect_cassandra.writes.stamped import Stamped

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows(first: int, stop: int, value: str = "value") -> pa.Table:
    """Return rows whose key is their number, a thousand in a partition."""
    return pa.table(
        {
            "p": pa.array([number // 1000 for number in range(first, stop)], pa.int32()),
            "k": pa.array(range(first, stop), pa.int32()),
            "v": [f"{value} {number}" for number in range(first, stop)],
        }
    )


def asking(batches: int) -> Iterator[pa.Table]:
    """Yield batches of one chunk each; says which comes next, and waits for a line before it."""
    for number in range(batches):
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        yield rows(number * CHUNK_ROWS, (number + 1) * CHUNK_ROWS)


def main() -> int:
    stamped_chunks._MOST_ROWS = CHUNK_ROWS
    about = json.loads(sys.argv[1])
    config = ClusterConfig(
        contact_points=tuple(about["contact_points"]),
        port=about["port"],
        login=Login(folder=Path(about["login"])),
    )
    stamped = Stamped(about["key"], Provenance(run="the killed one"))
    load(
        Session(config),
        about["table"],
        asking(about["batches"]),
        # One at a time, so that whoever watches knows what is acknowledged.
        LoadOptions(in_flight=1, stamped=stamped),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
