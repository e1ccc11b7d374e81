"""What runs in child processes of the driver's tests; a spawned child imports it by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.sharing import close_sessions, shared_session

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from prefect_cassandra.driver.config import ClusterConfig

QUERY = "SELECT release_version FROM system.local"


def ask(config: ClusterConfig, answer: Connection) -> None:
    """Send the version the node tells, or the error, through `answer`."""
    try:
        row = shared_session(config).execute(QUERY).one()
        answer.send((os.getpid(), row))
        close_sessions()
    except BaseException as error:  # noqa: BLE001 -- the parent judges it
        answer.send((os.getpid(), repr(error)))


def ask_through(session: Any, answer: Connection) -> None:
    """Do the same through a session object inherited from the parent."""
    try:
        answer.send((os.getpid(), session.execute(QUERY, []).one()))
        session.close()
    except BaseException as error:  # noqa: BLE001 -- the parent judges it
        answer.send((os.getpid(), repr(error)))
