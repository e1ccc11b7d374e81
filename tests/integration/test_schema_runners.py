"""Several runners at once, a killed one, one that wakes too late: real processes, a real node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import SchemaLockedError
from prefect_cassandra.schema import LeaseRules, apply, status
from prefect_cassandra.schema.lock import SchemaLock, read_holder
from prefect_cassandra.schema.migrations import read_folder
from prefect_cassandra.schema.records import Recorder
from support.schema import Ground
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect_cassandra.driver.session import Session

    Start = Callable[..., subprocess.Popen[str]]

# Short enough to wait for, long enough for a runner on a busy machine to renew it.
LEASE = 8
TESTS = Path(__file__).parents[1]
LOCKED = SchemaLockedError.exit_code


@pytest.fixture
def ground(node: Any, superuser: Session, tmp_path: Path) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path)
    for number in range(1, 4):
        made.write(f"000{number}_tables", f"a{number}", f"b{number}")
    return made


@pytest.fixture
def start(ground: Ground) -> Iterator[Start]:
    """Start runners and end what a failed test leaves of them."""
    started: list[subprocess.Popen[str]] = []

    def run(**options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ground.runner(**options),
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    """Read a paused runner's output up to `line`, letting it go on at every other one."""
    assert process.stdout is not None
    assert process.stdin is not None
    while said := process.stdout.readline():
        if said.strip() == line:
            return
        process.stdin.write("go on\n")
        process.stdin.flush()
    raise AssertionError(f"the runner ended without {line!r}: {process.communicate()[1]}")


def finished(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return json.loads(out.rsplit("finished ", 1)[1])


@pytest.mark.slow
def test_runners_that_start_together_apply_each_migration_exactly_once(
    ground: Ground, start: Start
) -> None:
    runners = [start() for _ in range(3)]
    labels = [label for runner in runners for label in finished(runner)]
    # Each label once over all runners: whoever had the lock did it, the others found it done.
    assert sorted(labels) == [f"{ground.keyspace}/000{number}_tables" for number in (1, 2, 3)]
    records = ground.records().values()
    assert [(r.number, r.state, r.done, r.attempts) for r in records] == [
        (number, "APPLIED", 2, 1) for number in (1, 2, 3)
    ]
    assert ground.tables() == {f"{letter}{number}" for letter in "ab" for number in (1, 2, 3)}
    assert status(ground.config, ground.installation).ok


@pytest.mark.slow
def test_a_killed_runner_is_followed_by_one_that_goes_on_behind_its_last_record(
    ground: Ground, start: Start
) -> None:
    killed = start(lease=LEASE, pause=True)
    wait_for(killed, f"recorded {ground.keyspace}/0002_tables 1")
    killed.kill()
    killed.wait()
    died = time.monotonic()
    assert finished(start(lease=LEASE)) == [
        f"{ground.keyspace}/0002_tables",
        f"{ground.keyspace}/0003_tables",
    ]
    assert time.monotonic() - died > 1
    records = ground.records()
    assert [(r.state, r.done, r.attempts) for r in records.values()] == [
        ("APPLIED", 2, 1),
        ("APPLIED", 2, 2),
        ("APPLIED", 2, 1),
    ]
    assert records[2].runner != records[1].runner
    assert records[1].epoch < records[2].epoch == records[3].epoch


@pytest.mark.slow
def test_a_stopped_runner_that_wakes_after_its_lease_changes_and_records_nothing(
    ground: Ground, start: Start
) -> None:
    stopped = start(lease=LEASE, pause=True)
    wait_for(stopped, f"recorded {ground.keyspace}/0002_tables 1")
    stopped.send_signal(signal.SIGSTOP)
    assert len(finished(start(lease=LEASE))) == 2
    before = ground.records()

    os.kill(stopped.pid, signal.SIGCONT)
    _, err = stopped.communicate("go on\n", timeout=100)
    assert stopped.returncode == LOCKED, err
    assert "lost the schema lock" in err
    assert ground.records() == before
    assert [record.state for record in before.values()] == ["APPLIED"] * 3


def test_the_fence_refuses_records_of_an_earlier_holder(ground: Ground) -> None:
    apply(ground.config, ground.installation)
    ground.write("0004_late", "c", "d")
    migration = read_folder(ground.folder / "migrations", ground.keyspace)[3]
    with SchemaLock(ground.superuser) as lock:
        earlier = Recorder(ground.superuser, lock.epoch, "prefect_owner", "earlier:1")
        earlier.raise_fence(ground.keyspace)
        record = earlier.begin(migration)
    with SchemaLock(ground.superuser) as lock:
        later = Recorder(ground.superuser, lock.epoch, "prefect_owner", "later:2")
        later.raise_fence(ground.keyspace)
        before = ground.records()
        for attempt in (
            lambda: earlier.advance(migration, 0, 1, record.started_at),
            lambda: earlier.resume(migration, record),
            lambda: earlier.raise_fence(ground.keyspace),
        ):
            with pytest.raises(SchemaLockedError, match="nothing was recorded"):
                attempt()
        assert ground.records() == before
        assert later.resume(migration, record).attempts == 2


def test_a_runner_that_waited_in_vain_names_who_holds_the_lock(ground: Ground) -> None:
    apply(ground.config, ground.installation)
    with (
        SchemaLock(ground.superuser) as lock,
        pytest.raises(
            SchemaLockedError, match=f"held by process {os.getpid()} on {lock.host} since"
        ),
        SchemaLock(ground.superuser, LeaseRules(wait=0.5)),
    ):
        pass


def test_the_lock_outlives_its_lease_while_the_runner_lives_and_is_free_after(
    ground: Ground,
) -> None:
    apply(ground.config, ground.installation)
    with SchemaLock(ground.superuser, LeaseRules(lease=4)) as lock:
        end = time.monotonic() + 6
        eventually(lambda: time.monotonic() > end, within=10)
        lock.check()
        holder = read_holder(ground.superuser)
        assert holder is not None
        assert (holder.owner, holder.epoch) == (lock.owner, lock.epoch)
    freed = read_holder(ground.superuser)
    assert freed is not None
    assert (freed.owner, freed.epoch) == (None, lock.epoch)
