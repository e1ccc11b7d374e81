"""What the ledger costs a load: without it, with it, with filters of the keys: `make bench-ledger`.

The three take turns in one process on the same rows, so that each meets the same machine; the order
moves on by one in every round. What counts is the processor time of this process, for each row.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import uuid
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bench.plane.contest import pieces
from bench.plane.data import KEYSPACE, USUAL, datasets
from bench.plane.meter import calibration
from bench.plane.node import BenchNode
from bench.plane.sitting import FOLDER
from prefect_cassandra.driver.session import Session
from prefect_cassandra.ledger.blocks import Provenance
from prefect_cassandra.ledger.store import CassandraClocks
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.tables import LEDGER_TABLES
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.stamped import Stamped

if TYPE_CHECKING:
    from bench.plane.data import Dataset

OFF, ON, FILTERS = "ledger off", "ledger on", "with key filters"
WAYS = (OFF, ON, FILTERS)
# Microseconds of processor time that each may take for a row more than without the ledger.
BARS = {ON: 0.1, FILTERS: 0.3}
TRANSACTIONS = 3
_WHO = Provenance(run="bench", task="load")


def main() -> int:
    """Run what the command line asks for; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description="Compare loads with and without the ledger.")
    parser.add_argument("datasets", nargs="*", default=["sensors"], help=", ".join(USUAL))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--rows", type=int, help="only so many rows of each data set")
    chosen = parser.parse_args()
    missed = []
    with BenchNode(FOLDER / "node") as node, closing(Session(node.access.config())) as session:
        make_ledger(session)
        for dataset in (datasets()[name] for name in chosen.datasets):
            rows = pa.Table.from_batches(pieces(dataset, FOLDER / "data", chosen.rows))
            missed += _sitting(node, session, dataset, rows, chosen.rounds)
    for line in missed:
        _say(f"MISSED {line}")
    return 1 if missed else 0


def make_ledger(session: Session) -> None:
    """Make the ledger's keyspace and tables."""
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {LEDGER} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    for cql in LEDGER_TABLES.values():
        session.execute(cql)


def _sitting(
    node: BenchNode, session: Session, dataset: Dataset, rows: pa.Table, rounds: int
) -> list[str]:
    """Let the ways take turns on one data set, and return what was missed."""
    cost: dict[str, list[float]] = {way: [] for way in WAYS}
    moves = _count_moves()
    most = 0
    for turn in range(rounds + 1):  # the first warms up
        loop = calibration()
        line = [f"{dataset.name:9} round {turn}  loop {loop:.2f} s"]
        for place in range(len(WAYS)):
            way = WAYS[(turn + place) % len(WAYS)]
            node.empty(dataset)
            before = len(moves)
            spent = _load(session, dataset, rows, way)
            most = max(most, len(moves) - before)
            line.append(f"{way} {spent:.3f} us")
            if turn:
                cost[way].append(spent)
        _say("  ".join(line))
    missed = []
    for way, bar in BARS.items():
        more = statistics.median(
            spent - without for spent, without in zip(cost[way], cost[OFF], strict=True)
        )
        _say(f"{dataset.name:9} {way}: {more:+.3f} us a row (bar {bar})")
        if more > bar:
            missed.append(f"{dataset.name}, {way}: {more:.3f} us a row, allowed {bar}")
    _say(f"{dataset.name:9} lightweight transactions of a load: {most} (bar {TRANSACTIONS})")
    if most > TRANSACTIONS:
        missed.append(f"{dataset.name}: {most} lightweight transactions")
    return missed


def _load(session: Session, dataset: Dataset, rows: pa.Table, way: str) -> float:
    """Load once; return the microseconds of processor time for each row."""
    keep = timedelta(days=1) if way == FILTERS else None
    stamped = None if way == OFF else Stamped(uuid.uuid4().hex, _WHO, keep_filters=keep)
    started = time.process_time()
    report = load(session, f"{KEYSPACE}.{dataset.table}", rows, LoadOptions(stamped=stamped))
    spent = time.process_time() - started
    assert report.rows + report.merged == rows.num_rows
    return spent / rows.num_rows * 1_000_000


def _count_moves() -> list[str]:
    """Return a list that grows with each lightweight transaction on a clock."""
    moves: list[str] = []
    move = CassandraClocks.move

    def counted(self: CassandraClocks, table: str, *rest: Any) -> Any:
        moves.append(table)
        return move(self, table, *rest)

    CassandraClocks.move = counted  # type: ignore[method-assign]
    return moves


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
