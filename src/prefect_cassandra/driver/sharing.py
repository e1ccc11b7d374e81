"""One session per process and cluster, found again by its configuration."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from prefect_cassandra.driver.session import Session

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import ClusterConfig

_sessions: dict[ClusterConfig, Session] = {}
_lock = threading.Lock()


def shared_session(config: ClusterConfig) -> Session:
    """Return this process's session for `config`; it connects when first used.

    Thread-safe. Sessions are expensive: each holds a connection to every node.
    """
    with _lock:
        session = _sessions.get(config)
        if session is None or session.closed:
            session = _sessions[config] = Session(config)
        return session


def close_sessions() -> None:
    """Close every shared session of this process."""
    with _lock:
        sessions = list(_sessions.values())
        _sessions.clear()
    for session in sessions:
        session.close()


def _after_fork_in_child() -> None:
    # The sessions stay and look after themselves (`mending`); the lock may have been held at the
    # fork, by a thread that is not here.
    global _lock  # noqa: PLW0603 -- see above
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
