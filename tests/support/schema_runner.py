"""A process that applies an installation, and can stand still while it holds the lock.

With `pause` it prints `recorded <migration> <statements done>` after each record and goes on when
it reads a line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.driver.sharing import close_sessions
from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.schema import Installation, LeaseRules, apply, load_keyspaces
from prefect_cassandra.schema.records import Recorder

if TYPE_CHECKING:
    from prefect_cassandra.schema.migrations import Migration


class PausingRecorder(Recorder):
    """Says what it recorded and waits to be told to go on."""

    def advance(self, migration: Migration, before: int, done: int, *rest: Any) -> None:
        super().advance(migration, before, done, *rest)
        sys.stdout.write(f"recorded {migration.label} {done}\n")
        sys.stdout.flush()
        sys.stdin.readline()


def main() -> int:
    about = json.loads(sys.argv[1])
    secrets = Path(about["secrets"])
    config = ClusterConfig(
        contact_points=tuple(about["contact_points"]),
        port=about["port"],
        login=Login(folder=secrets / "superuser"),
    )
    if about["pause"]:
        from prefect_cassandra.schema import applying  # noqa: PLC0415  (only to stand still in it)

        applying.Recorder = PausingRecorder  # type: ignore[misc]  # the same interface
    try:
        done = apply(
            config,
            Installation(load_keyspaces(Path(about["file"])), "test", secrets),
            rules=LeaseRules(lease=about["lease"], wait=100),
        )
    except PrefectCassandraError as error:
        sys.stderr.write(str(error))
        return error.exit_code
    finally:
        close_sessions()
    sys.stdout.write(f"finished {json.dumps(done.migrations)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
