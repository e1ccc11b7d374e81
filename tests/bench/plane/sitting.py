"""One sitting of a bench: the command line, the node, the rounds and the verdict."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.plane.contest import Competitor, Job, keep, kept, measure
from bench.plane.data import datasets
from bench.plane.figures import missed, table
from bench.plane.node import BenchNode
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.plane.contest import Measured
    from bench.plane.data import Content, Dataset
    from bench.plane.figures import Bar, Ceiling

FOLDER = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Bench:
    """What is measured.

    Args:
        name: `load` or `unload`.
        competitors: In the order of their turns.
        bars: What has to be reached.
        usual: Data sets that take part when none is named.
        prepare: Makes the table ready for one competitor.
        check: Returns what is there after its turn.
        warm_up: Makes the node compile its code.
    """

    name: str
    competitors: Sequence[Competitor]
    bars: Sequence[Bar | Ceiling]
    usual: Sequence[str]
    prepare: Callable[[BenchNode, Dataset, Path], None]
    check: Callable[[BenchNode, Competitor, Job], Content]
    warm_up: Callable[[BenchNode, Path], None]


def main(bench: Bench) -> int:
    """Run what the command line asks for; 1 when a bar is missed."""
    chosen = _arguments(bench)
    # An end by signal runs the same way out, so that no node stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = chosen.results or FOLDER / f"{bench.name}.jsonl"
    if not chosen.keep:
        results.unlink(missing_ok=True)
    results.parent.mkdir(parents=True, exist_ok=True)
    if chosen.rounds:
        _rounds(bench, chosen, results)
    measured = kept(results)
    for name in dict.fromkeys(one.dataset for one in measured):
        _say(f"\n{table(measured, name)}")
    lines = missed(bench.bars, measured)
    for line in lines:
        _say(f"MISSED {line}")
    return 1 if lines else 0


def _rounds(bench: Bench, chosen: Any, results: Path) -> None:
    data, work = FOLDER / "data", FOLDER / "work"
    with BenchNode(FOLDER / "node") as node:
        bench.warm_up(node, data)
        for dataset in (datasets()[name] for name in chosen.datasets):
            bench.prepare(node, dataset, data)
            for _ in range(chosen.rounds):
                for competitor in bench.competitors:
                    if competitor.takes(dataset) and (
                        not chosen.only or competitor.name in chosen.only
                    ):
                        job = Job(node.access, dataset, data, work / competitor.name)
                        _turn(bench, node, competitor, job, results)


def _turn(bench: Bench, node: BenchNode, competitor: Competitor, job: Job, results: Path) -> None:
    if bench.name == "load":
        node.empty(job.dataset)
    one = measure(node, competitor, job, partial(bench.check, node))
    keep(results, one)
    _say(_line(one))


def _line(one: Measured) -> str:
    return (
        f"{one.dataset:10} {one.competitor:24} {one.speed:>10,.0f} rows/s  "
        f"client {one.cost:7.2f} s/M  server {one.served:7.2f} s/M  "
        f"peak {one.peak:5.0f} MiB  loop {one.loop:.2f} s"
    )


def _arguments(bench: Bench) -> Any:
    parser = argparse.ArgumentParser(description=f"Compare ways to {bench.name} a table.")
    parser.add_argument("datasets", nargs="*", metavar="DATASET", help=", ".join(datasets()))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; 0 only prints")
    parser.add_argument("--only", action="append", help="a competitor by its name; repeat it")
    parser.add_argument("--results", type=Path, help="file with one line per run")
    parser.add_argument("--keep", action="store_true", help="add to the results that are there")
    chosen = parser.parse_args()
    unknown = set(chosen.datasets) - set(datasets())
    if unknown:
        parser.error(f"no data set {', '.join(sorted(unknown))}")
    chosen.datasets = chosen.datasets or bench.usual
    return chosen


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
