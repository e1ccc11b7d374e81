"""A process that takes blocks of stamps in several threads at once and prints what it got.

It says `ready`, begins when it reads a line, and prints one JSON list: load key, start, end and
seconds waited of each block.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.ledger.blocks import BlockRequest
from prefect_cassandra.ledger.stamps import StampClock
from prefect_cassandra.ledger.store import CassandraClocks


def main() -> int:
    about = json.loads(sys.argv[1])
    config = ClusterConfig(
        contact_points=tuple(about["contact_points"]),
        port=about["port"],
        login=Login(folder=Path(about["login"])),
    )
    session = Session(config)
    clocks = CassandraClocks(session)
    clock = StampClock(clocks, about["table"])
    clocks.now()  # connects

    def take(number: int) -> tuple[str, int, int, float]:
        key = f"{about['name']}/{number}"
        asked = time.monotonic()
        block = clock.take(BlockRequest(load_key=key, chunks=about["chunks"], chunk_rows=5000))
        return key, block.start, block.end, time.monotonic() - asked

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with ThreadPoolExecutor(about["threads"]) as pool:
        taken = list(pool.map(take, range(about["threads"])))
    sys.stdout.write(json.dumps(taken) + "\n")
    session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
