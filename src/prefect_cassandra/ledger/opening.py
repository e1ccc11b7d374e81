"""Where a load meets its ledger: one clock per table and process, and an attempt opened on it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prefect_cassandra.errors import CannotUndoError, NoStampsError
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.loads import StampedLoad
from prefect_cassandra.ledger.promises import Promise, Server, read_server, require
from prefect_cassandra.ledger.stamps import StampClock
from prefect_cassandra.ledger.store import CassandraClocks
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.tables import REMOVED_KEYS

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.ledger.loads import LoadIdentity

_clocks: WeakKeyDictionary[Session, dict[str, StampClock]] = WeakKeyDictionary()
_servers: WeakKeyDictionary[Session, Server] = WeakKeyDictionary()
_lock = threading.Lock()


def clock_of(session: Session, table: str) -> StampClock:
    """Return this process's clock of a table; threads that share it share its moves.

    Args:
        session: Logged in as a role that may read and write the stamp tables.
        table: `keyspace.table`.

    Raises:
        NoStampsError: The cluster is of a kind that cannot keep stamps; it is asked once.
    """
    require_promise(session, Promise.STAMPS)
    with _lock:
        clocks = _clocks.setdefault(session, {})
        if table not in clocks:
            known = next(iter(clocks.values()), None)
            store = known.store if known is not None else CassandraClocks(session)
            clocks[table] = StampClock(store, table)
        return clocks[table]


def require_promise(session: Session, promise: Promise) -> None:
    """Refuse what a cluster of this kind cannot keep; each session's is asked once.

    Args:
        session: Of any role.
        promise: What is about to be relied on.

    Raises:
        NoStampsError: The cluster cannot keep it; says why.
    """
    # Without the lock: a cluster that is slow to answer must not hold up the others'.
    if session not in _servers:
        _servers[session] = read_server(session)
    require(_servers[session], promise)


def require_undo(session: Session, table: TableInfo) -> None:
    """Refuse to undo in a table on a cluster that cannot tell which of its cells to take away.

    Args:
        session: Of any role.
        table: Where something is to be undone, or may have to be.

    Raises:
        CannotUndoError: So it is; says why.
    """
    types = {kind.name for kind in table.user_types}
    elements = any(one.is_multi_cell or one.cql_type in types for one in table.columns)
    try:
        for promise in (Promise.UNDO, *([Promise.ELEMENTS] if elements else [])):
            require_promise(session, promise)
    except NoStampsError as error:
        raise CannotUndoError(
            f"nothing can be undone in {table.keyspace}.{table.name}: {error.message}",
            hint="docs/reference/external-clusters.md has what works there.",
        ) from error


def keeps_stamps(session: Session) -> bool:
    """Whether the cluster has a ledger for statements; a role may still not be allowed to use it.

    Args:
        session: Of any role; nothing is asked of the database beyond what its schema tells.
    """
    return session.link().table(LEDGER, REMOVED_KEYS) is not None


def open_load(
    session: Session,
    identity: LoadIdentity,
    *,
    chunk_rows: int,
    total_rows: int | None = None,
    keep_finished: bool = False,
) -> StampedLoad:
    """Begin an attempt of a load: with the stamps of the earlier ones, or with a block of its own.

    Args:
        session: Logged in as a role that may read and write the stamp tables.
        identity: Which load, and who runs it.
        chunk_rows: Rows to a chunk, unless an earlier attempt has settled that.
        total_rows: Rows of the whole input, when they can be counted beforehand.
        keep_finished: Whether older content that was finished stays in the table.

    Raises:
        NoStampsError: The cluster has no ledger, or not for this role; nothing was written.
        LedgerError: No stamps can be had; nothing was written.
        UnreachableError: The database did not answer; nothing was written.
        NotAppliedError: Too few replicas are up; nothing was written.
    """
    clock = clock_of(session, identity.table)
    store = CassandraLoads(session)
    load = StampedLoad(identity, clock, store, chunk_rows, total_rows, keep_finished)
    load.open()
    return load


def _after_fork_in_child() -> None:
    # A lock may have been held at the fork, by a thread that is not here.
    global _lock  # noqa: PLW0603 -- see above
    _lock = threading.Lock()
    _clocks.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
