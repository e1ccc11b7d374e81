"""Run logs into Prefect's own server and into ours, in turns on one machine: `make bench-logs`.

Both servers are started as the local stack starts them, each with a SQLite database of its own;
ours has its lines in the stack's node. Lines come as Prefect's own handler sends them, many of one
run in a request, from several senders at once. Counted are lines a second until the last request is
answered, rows and bytes of the metadata databases, and the time of a page of one run's log.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import close_sessions
from prefect_cassandra.local.plan import StackConfig
from prefect_cassandra.local.stack import Stack
from prefect_cassandra.schema import apply
from support.log_server import Api, api_at, log_server
from support.ports import free_ports
from support.schema import Ground

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS = 200
PAGES = 100


@dataclass
class Side:
    """A server and what it did.

    Attributes:
        rates: Lines a second, one for each round.
        pages: Seconds of each page.
    """

    name: str
    api: Api
    database: Path
    rates: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)

    def rows(self) -> int:
        """Return the rows of its table of logs."""
        with closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute("SELECT count(*) FROM log").fetchone()[0])

    def size(self) -> int:
        """Return the bytes of its database, with what is still in the write-ahead log."""
        files = (self.database, self.database.with_name(f"{self.database.name}-wal"))
        return sum(one.stat().st_size for one in files if one.exists())


def requests(number: int, lines: int, per_request: int, runs: Sequence[str]) -> list[bytes]:
    """Return the bodies of a round; each has lines of one run, and rounds go on with the next."""
    now = datetime.now(UTC)
    bodies = []
    start = number * lines
    for first in range(start, start + lines, per_request):
        run = runs[first // per_request % len(runs)]
        body = [
            {
                "name": "prefect.flow_runs",
                "level": 20,
                "message": f"Loaded chunk {place} of the table flights.by_origin_day: 5,000 rows",
                "timestamp": (now + timedelta(microseconds=place)).isoformat(),
                "flow_run_id": run,
            }
            for place in range(first, min(first + per_request, start + lines))
        ]
        bodies.append(json.dumps(body).encode())
    return bodies


def ingest(side: Side, bodies: Sequence[bytes], senders: int, lines: int) -> None:
    """Send a round and note its rate."""

    def send(body: bytes) -> None:
        answer = side.api.client.post(
            "/logs/", content=body, headers={"content-type": "application/json"}, timeout=300
        )
        if answer.status_code != 201:
            raise RuntimeError(f"{side.name}: {answer.status_code} {answer.text[:200]}")

    with ThreadPoolExecutor(senders) as pool:
        began = time.perf_counter()
        list(pool.map(send, bodies))
        side.rates.append(lines / (time.perf_counter() - began))


def read_pages(side: Side, runs: Sequence[str]) -> None:
    """Ask for the first page of as many runs, and check that it is one."""
    for number in range(PAGES):
        began = time.perf_counter()
        found = side.api.read({"flow_run_id": {"any_": [runs[number % len(runs)]]}})
        side.pages.append(time.perf_counter() - began)
        if not found:
            raise RuntimeError(f"{side.name}: no lines of {runs[number % len(runs)]}")


def count_ours(session: Session, runs: Sequence[str], since: datetime) -> int:
    """Return how many lines of these runs are in Cassandra, by their ten minutes."""
    bucket = since.replace(minute=since.minute // 10 * 10, second=0, microsecond=0)
    buckets = [bucket + timedelta(minutes=10 * n) for n in range(13)]
    found = 0
    for run in runs:
        for one in buckets:
            row = session.execute(
                "SELECT count(*) AS n FROM prefect_state.run_logs"
                " WHERE flow_run_id = ? AND bucket = ?",
                [uuid.UUID(run), one],
            ).one()
            found += row["n"] if row else 0
    return found


def show(sides: Sequence[Side], before: Sequence[tuple[int, int]], total: int) -> None:
    """Print the figures."""
    table = Table("server", "lines/s, median", "lowest", "highest", "rows of log", "growth", "p95")
    for side, (rows, size) in zip(sides, before, strict=True):
        p95 = statistics.quantiles(side.pages, n=20)[18] * 1000
        table.add_row(
            side.name,
            *(f"{fn(side.rates):,.0f}" for fn in (statistics.median, min, max)),
            f"{side.rows() - rows:,}",
            f"{(side.size() - size) / 1024:,.0f} KiB",
            f"{p95:.0f} ms",
        )
    console = Console(width=110)
    console.print(table)
    stock, ours = (statistics.median(side.rates) for side in sides)
    console.print(f"{total:,} lines of {RUNS} runs each; ours / stock = {ours / stock:.1f}")


def main() -> int:
    """Run the rounds."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=100_000, help="of each server, in all")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--per-request", type=int, default=250)
    options.add_argument("--senders", type=int, default=8)
    chosen = options.parse_args()
    cql, storage, jmx, port = free_ports(4)
    with ExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        config = StackConfig.from_settings(
            data=folder / "stack",
            cql_port=cql,
            storage_port=storage,
            jmx_port=jmx,
            server_port=port,
        )
        stack = open_.enter_context(Stack(config))
        superuser = open_.enter_context(closing(Session(stack.cluster_config())))
        (folder / "ground").mkdir()
        ground = Ground.make(stack.cluster_config(), superuser, folder / "ground")
        apply(ground.config, ground.installation)
        ours = open_.enter_context(
            log_server(folder / "ours", config.cache, ground.role("prefect_state"), {})
        )
        stock = open_.enter_context(api_at(str(stack.api_url)))
        sides = [
            Side("Prefect's own", stock, folder / "stack" / "prefect" / "prefect.db"),
            Side("with Cassandra", ours, folder / "ours" / "prefect" / "prefect.db"),
        ]
        runs = [str(uuid.uuid4()) for _ in range(RUNS)]
        before = [(side.rows(), side.size()) for side in sides]
        began = datetime.now(UTC)
        lines = chosen.lines // chosen.rounds
        for number in range(chosen.rounds):
            bodies = requests(number, lines, chosen.per_request, runs)
            for side in sides if number % 2 else sides[::-1]:
                ingest(side, bodies, chosen.senders, lines)
        for side in sides:
            read_pages(side, runs)
        total = lines * chosen.rounds
        show(sides, before, total)
        kept = count_ours(superuser, runs, began)
        close_sessions()
        if kept != total:
            Console().print(f"{kept:,} of {total:,} lines are in Cassandra")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
