"""A process that uses results and locks: `holding` one lock, or `counting` under many."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from prefect_cassandra import CassandraCluster, CassandraCredentials
from prefect_cassandra.blocks import CassandraLockManager, CassandraResultStorage
from prefect_cassandra.errors import LockLostError


def storage_of(about: dict[str, Any]) -> CassandraResultStorage:
    credentials = CassandraCredentials(folder=Path(about["folder"]))
    return CassandraResultStorage(
        cluster=CassandraCluster(
            contact_points=about["contact_points"], port=about["port"], credentials=credentials
        )
    )


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def holding(about: dict[str, Any]) -> None:
    """Take a lock, say so, wait for a line and write under it."""
    storage = storage_of(about)
    locks = CassandraLockManager(storage.cluster, lease=about["lease"])
    assert locks.acquire_lock(about["key"], "the child")
    say("held")
    sys.stdin.readline()
    try:
        storage.write_path(about["key"], b"the child's")
    except LockLostError as error:
        say(error.code)
    else:
        say("written")


def counting(about: dict[str, Any]) -> None:
    """Add one to counters, each time under its lock; values are long enough to be torn."""
    storage = storage_of(about)
    locks = CassandraLockManager(storage.cluster)
    choice = random.Random(about["seed"])  # noqa: S311 -- picks keys
    say("ready")
    sys.stdin.readline()
    added = [0] * about["keys"]
    for step in range(about["steps"]):
        number = choice.randrange(about["keys"])
        key, holder = f"{about['prefix']}{number}", f"{about['seed']}.{step}"
        locks.acquire_lock(key, holder)
        count = int(storage.read_path(key).split(b",", 1)[0]) if storage.exists(key) else 0
        # Some fit a row and some are in parts.
        width = choice.choice([1, 10, 40_000])
        storage.write_path(key, b",".join([str(count + 1).encode()] * width))
        locks.release_lock(key, holder)
        added[number] += 1
    say(json.dumps(added))


if __name__ == "__main__":
    {"holding": holding, "counting": counting}[sys.argv[1]](json.loads(sys.argv[2]))
