"""Results by key: whole or not at all, however many write one key at the same moment.

A write never changes what is there. It makes a new version of its record, numbered beyond every
version it saw, under an id of its own; whoever reads takes the newest version. The row of a version
is written last, in one piece, after the parts of a content too large for it. So a reader meets one
writer's whole value or another's. Older versions are then deleted; a reader that loses the parts
of one under its hands starts over with the newest.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from prefect_cassandra.errors import (
    LockLostError,
    OutcomeUnknownError,
    PrefectCassandraError,
    ResultDamagedError,
    ResultMissingError,
    ResultTooLargeError,
)
from prefect_cassandra.schema.records import compare_and_set
from prefect_cassandra.state.access import QUORUM, SERIAL, check_key, state_access

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from prefect_cassandra.driver.session import Session

MEBIBYTE = 1024 * 1024
LARGEST = 256 * MEBIBYTE
# What fits a row is read with it. Larger contents are cut, so that no request is larger than half a
# mebibyte: a node refuses mutations of half a commit log segment, 16 MiB, and warns long before.
INLINE = 128 * 1024
PART = 512 * 1024
_PARTS_AT_ONCE = 8
# Parts are written before their row and must not expire before it.
_PARTS_OUTLIVE = 3600
_READS = 20

_VERSIONS = """SELECT version, writer, parts, WRITETIME(size) AS written
 FROM prefect_state.records WHERE key = ?"""
_NEWEST = """SELECT version, writer, size, parts, sha256, content FROM prefect_state.records
 WHERE key = ? LIMIT 1"""
_EXISTS = "SELECT version FROM prefect_state.records WHERE key = ? LIMIT 1"
_WRITE = """INSERT INTO prefect_state.records (size, parts, sha256, content, key, version, writer)
 VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ?"""
_WRITE_GUARDED = """UPDATE prefect_state.records USING TTL ? SET size = ?, parts = ?, sha256 = ?,
 content = ? WHERE key = ? AND version = ? AND writer = ? IF fence = ?"""
_WRITTEN = """SELECT size FROM prefect_state.records WHERE key = ? AND version = ?
 AND writer = ?"""
# One range however many versions: the ranges of later writes cover it, so that they do not add up.
_DROP = "DELETE FROM prefect_state.records WHERE key = ? AND version <= ?"
_WRITE_PART = """INSERT INTO prefect_state.record_parts (writer, number, content)
 VALUES (?, ?, ?) USING TTL ?"""
_READ_PART = "SELECT content FROM prefect_state.record_parts WHERE writer = ? AND number = ?"
_DROP_PART = "DELETE FROM prefect_state.record_parts WHERE writer = ? AND number = ?"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a record.

    Attributes:
        number: Orders the versions; microseconds since 1970, or one more than the one before.
        writer: Who wrote it, this once.
        parts: How many parts its content has; 0 when it is in the row.
        written: The write timestamp of its row.
    """

    number: int
    writer: uuid.UUID
    parts: int
    written: int


def next_number(now: int, seen: Sequence[Version]) -> int:
    """Return a number beyond all versions seen, which also beats their write timestamps.

    Args:
        now: Microseconds since 1970 by this machine's clock, which may be behind the others'.
        seen: The versions that are there.
    """
    return max([now, *(max(one.number, one.written) + 1 for one in seen)])


@dataclass(frozen=True, slots=True)
class Results:
    """The results kept on one cluster.

    Every method raises StateError when the cluster keeps none or this role may not use them, and
    what `Session.execute` does when it is out of reach.

    Args:
        session: Logged in as a role that may read and write `prefect_state`.
        ttl: Seconds for which what is written is kept; 0 for ever.
    """

    session: Session
    ttl: int = 0

    def exists(self, key: str) -> bool:
        """Say whether a result is kept under `key`; its content is not read."""
        with state_access():
            row = self.session.execute(_EXISTS, [check_key(key)], consistency=QUORUM).one()
        return _is_version(row)

    def read(self, key: str) -> bytes:
        """Return what was written under `key` last.

        Raises:
            ResultMissingError: Nothing is kept there.
            ResultDamagedError: It is not what was written, or not all of it is there.
        """
        failed = None
        for _ in range(_READS):
            with state_access():
                row = self.session.execute(_NEWEST, [check_key(key)], consistency=QUORUM).one()
                if row is None or not _is_version(row):
                    raise _missing(key)
                content = self._content(row)
            if content is not None:
                return _checked(key, row, content)
            if failed == row["writer"]:
                break
            # Somebody wrote a newer version meanwhile and took the parts of this one away.
            failed = row["writer"]
        raise ResultDamagedError(
            f"the result under {key!r} is not whole: parts of it are missing",
            hint="Run the task again; a majority of the replicas may have lost data.",
        )

    def write(self, key: str, content: bytes, fence: int | None = None) -> None:
        """Keep `content` under `key`, in place of what was there.

        Args:
            key: The storage key.
            content: At most `LARGEST` bytes.
            fence: Token of the lock on `key` under which this is written; it is compared by the
                write itself. None writes without asking for a lock.

        Raises:
            ResultTooLargeError: There are more bytes than that; nothing was written.
            LockLostError: The lock was taken by another holder since; nothing was written.
            OutcomeUnknownError: It may or may not be written; writing it again is safe.
        """
        check_key(key)
        if len(content) > LARGEST:
            raise _too_large(key, len(content))
        with state_access():
            seen = self._versions(key)
            new = Version(
                number := next_number(self.session.clock(), seen),
                uuid.uuid4(),
                0 if len(content) <= INLINE else -(-len(content) // PART),
                number,
            )
            try:
                if new.parts:
                    self._write_parts(new, content)
                self._write_row(key, new, content, fence)
            except OutcomeUnknownError:
                # The row may be there, and then its parts must be.
                raise
            except PrefectCassandraError:
                self._tidy([new], new.number)
                raise
            self._drop_rows(key, seen, new.number)
            self._tidy(seen, new.number)

    def _versions(self, key: str) -> list[Version]:
        rows = self.session.execute(_VERSIONS, [key], consistency=QUORUM)
        return [
            Version(row["version"], row["writer"], row["parts"] or 0, row["written"] or 0)
            for row in rows
            if _is_version(row)
        ]

    def _write_parts(self, new: Version, content: bytes) -> None:
        ttl = self.ttl + _PARTS_OUTLIVE if self.ttl else 0
        view = memoryview(content)
        self.session.execute_many(
            _WRITE_PART,
            (
                [new.writer, number, bytes(view[number * PART : (number + 1) * PART]), ttl]
                for number in range(new.parts)
            ),
            in_flight=_PARTS_AT_ONCE,
            consistency=QUORUM,
            timestamp=new.number,
        )

    def _write_row(self, key: str, new: Version, content: bytes, fence: int | None) -> None:
        digest = sha256(content).digest()
        cells = [len(content), new.parts, digest, b"" if new.parts else content]
        where = [key, new.number, new.writer]
        if fence is None:
            values = [*cells, *where, self.ttl]
            self.session.execute(_WRITE, values, consistency=QUORUM, timestamp=new.number)
            return
        values = [self.ttl, *cells, *where, fence]
        if not compare_and_set(self.session, _WRITE_GUARDED, values, lambda: self._is_there(where)):
            raise LockLostError(
                f"the result under {key!r} was not written: its lock was lost to another holder",
                hint="This run was away for longer than the lease of its lock. Nothing was "
                "overwritten; run it again.",
            )

    def _is_there(self, where: Sequence[Any]) -> bool:
        return self.session.execute(_WRITTEN, where, consistency=SERIAL).one() is not None

    def _drop_rows(self, key: str, versions: Sequence[Version], at: int) -> None:
        if not versions:
            return
        # No further than what was seen: of a version that comes between, the parts are not known.
        newest = max(one.number for one in versions)
        with suppress(PrefectCassandraError):
            self.session.execute(_DROP, [key, newest], consistency=QUORUM, timestamp=at)

    def _tidy(self, versions: Sequence[Version], at: int) -> None:
        """Delete the parts of versions; what fails is left to its time."""
        parts = [[one.writer, number] for one in versions for number in range(one.parts)]
        if not parts:
            return
        with suppress(PrefectCassandraError):
            self.session.execute_many(_DROP_PART, parts, consistency=QUORUM, timestamp=at)

    def _content(self, row: Mapping[str, Any]) -> bytes | None:
        """Return the content of a version, None when a part of it is not there."""
        if not row["parts"]:
            return bytes(row["content"] or b"")
        writer = row["writer"]

        def read_part(number: int) -> bytes | None:
            found = self.session.execute(_READ_PART, [writer, number], consistency=QUORUM).one()
            return None if found is None else found["content"]

        with ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="result-parts") as pool:
            parts = list(pool.map(read_part, range(row["parts"])))
        whole = [part for part in parts if part is not None]
        return b"".join(whole) if len(whole) == len(parts) else None


def _is_version(row: Mapping[str, Any] | None) -> bool:
    # A lock without a result comes back as a row whose only cells are static.
    return row is not None and row["version"] is not None


def _checked(key: str, row: Mapping[str, Any], content: bytes) -> bytes:
    if len(content) == row["size"] and sha256(content).digest() == row["sha256"]:
        return content
    raise ResultDamagedError(
        f"the result under {key!r} is not what was written: {len(content):,} bytes of "
        f"{row['size']:,}, and their SHA-256 is another",
        hint="Run the task again. Somebody else wrote to prefect_state, or data was damaged.",
    )


def _missing(key: str) -> ResultMissingError:
    return ResultMissingError(
        f"no result is kept under {key!r}",
        hint="It was never written, or it is older than what the storage block keeps.",
    )


def _too_large(key: str, size: int) -> ResultTooLargeError:
    return ResultTooLargeError(
        f"the result under {key!r} has {size / MEBIBYTE:,.1f} MiB as Prefect serializes it; "
        f"{LARGEST // MEBIBYTE} MiB are the most that is kept",
        hint="As a pickle in base64 and JSON a value takes 1.37 times its bytes; "
        '`result_serializer="compressed/pickle"` often makes it fit. Or give the task another '
        "storage (`result_storage=` takes a block of S3, GCS or a folder), load the data into a "
        "table and return what identifies it, or keep nothing: `persist_result=False`.",
    )
