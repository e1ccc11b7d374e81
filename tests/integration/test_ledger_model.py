"""Random histories of loads and of everybody else's writes: the real node equals the model.

`make test` runs some of them with new seeds each time, `make model` 2,000. A failure names its seed
and the fewest steps that still fail; `case_of(seed)` makes it again.
"""

from __future__ import annotations

import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.schema import apply
from support.cell_writes import TABLE, random_write, read_partitions, ttl_given
from support.cells import Partition
from support.ledger_cases import Case, instrument, random_steps
from support.schema import Ground
from support.shrinking import smallest
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from support.ledger_cases import Step

SIDE_BY_SIDE = 8
_partitions = itertools.count(1)


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("model"))
    tables = [TABLE.format(f"{made.keyspace}.{name}") for name in ("cells", "histories")]
    made.write("0001_tables", text="".join(tables))
    apply(made.config, made.installation)
    return made


def seeds(count: int) -> list[int]:
    first = int(os.environ.get("MODEL_SEED", "0")) or Random().randrange(10**9)  # noqa: S311
    return list(range(first, first + count))


def test_the_model_resolves_cells_as_the_node_does(ground: Ground) -> None:
    session, table = shared_session(ground.role("flow")), f"{ground.keyspace}.cells"
    models: dict[int, Partition] = {}
    wanted = seeds(400)

    def requests() -> Iterator[Request]:
        for partition, seed in enumerate(wanted):
            rng = Random(seed)  # noqa: S311 -- test data
            model = models[partition] = Partition()
            for number in range(rng.randrange(1, 12)):
                ttl = rng.choice((0, 0, 10_000 * (number + 1)))
                # Few timestamps, so that many are equal.
                write = random_write(rng, rng.randrange(1, 7), ttl)
                write.apply(model, int(time.time()))
                cql, parameters = write.cql(table, partition)
                prepared = session.prepare(cql)
                values = prepared.check(parameters)
                yield session.single(prepared, values, timestamp=write.stamp)

    Pump(session).run(requests())
    found = read_partitions(session, table, ttl_given)
    for seed, (partition, model) in zip(wanted, models.items(), strict=True):
        assert found.get(partition, {}) == model.seen(time.time()), f"seed {seed}"


@dataclass
class Histories:
    """Runs cases and finds those that go wrong."""

    session: Session
    table: str

    def run(self, seed: int, steps: Sequence[Step] | None = None) -> Case:
        case = Case(self.session, self.table, next(_partitions))
        case.run(case_of(seed) if steps is None else steps)
        return case

    def wrong(self, cases: dict[int, Case]) -> dict[int, list[str]]:
        """Return what is wrong, by seed."""
        expired = max(case.expired_at for case in cases.values())
        eventually(lambda: time.time() > expired, "what expires", within=60)
        found = read_partitions(self.session, self.table, ttl_given)
        wrong = {}
        for seed, case in cases.items():
            seen = found.get(case.partition, {})
            if case.wrong(seen, time.time()):
                case.problems.append(
                    f"the node shows {seen}, without what was taken back {case.wanted(time.time())}"
                )
            if case.problems:
                wrong[seed] = case.problems
            case.end()
        return wrong

    def fails(self, seed: int, steps: Sequence[Step]) -> bool:
        return bool(self.wrong({seed: self.run(seed, steps)}))

    def check(self, wanted: Sequence[int]) -> None:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            cases = dict(zip(wanted, threads.map(self.run, wanted), strict=True))
        wrong = self.wrong(cases)
        if wrong:
            seed, problems = next(iter(wrong.items()))
            steps = smallest(case_of(seed), partial(self.fails, seed))
            pytest.fail(
                f"{len(wrong)} of {len(wanted)}, seed {seed}: {problems}\nsmallest: {steps}"
            )


def case_of(seed: int) -> list[Step]:
    return random_steps(Random(seed))  # noqa: S311 -- test data


@pytest.fixture
def histories(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Histories:
    instrument(monkeypatch)
    return Histories(shared_session(ground.role("flow")), f"{ground.keyspace}.histories")


@pytest.mark.timeout(300)
def test_whatever_interleaves_the_node_equals_the_model(histories: Histories) -> None:
    histories.check(seeds(50))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_two_thousand_histories_equal_the_model(histories: Histories) -> None:
    wanted = seeds(2_000)
    for first in range(0, len(wanted), 250):
        histories.check(wanted[first : first + 250])
