"""Filters of the keys that a chunk wrote: what turns "its stamp" into "its stamp and its row".

A filter is a Bloom filter of 10 bits a key with 7 probes (Bloom, 1970; double hashing after Kirsch
and Mitzenmacher, 2006): it never denies a key that was written, and takes one in about 120 others
for written. It is made of hashes of whole primary keys, as the database has them: each column's
bytes in key order. The hash takes in 64 bits at a time with the finalizer of MurmurHash3, which
numpy does for all rows of a chunk at once; it guards against chance, not against an enemy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prefect_cassandra.errors import LedgerError
from prefect_cassandra.ledger.store import QUORUM, ledger_access

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from numpy.typing import NDArray

    from prefect_cassandra.driver.encoded import Cells
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session

    Hashes = NDArray[np.uint64]

BITS = 10
"""Bits of a filter for each key."""
PROBES = 7
_FORMAT = b"\1"
_LEAST_BITS = 64

_WORD = 8
_ALL = (1 << 64) - 1
_SEED = 0x9E3779B97F4A7C15
_LENGTH = 0xD6E8FEB86659FD93
_STEP = 0xFF51AFD7ED558CCD
_END = 0xC4CEB9FE1A85EC53
# Keeps the first n bytes of a word, which lie in its low bits.
_FIRST_BYTES = np.array([(1 << 8 * n) - 1 for n in range(_WORD + 1)], np.uint64)

_SAVE = """INSERT INTO prefect_ledger.key_filters (table_name, start, number, digest, filter)
 VALUES (?, ?, ?, ?, ?) USING TTL ?"""
_READ = """SELECT filter FROM prefect_ledger.key_filters WHERE table_name = ? AND start = ?
 AND number = ?"""


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Says of a key that it was surely not written, or that it may have been.

    Attributes:
        bits: The filter, eight bits to a byte, the first one highest.
    """

    bits: bytes

    @classmethod
    def of(cls, hashes: Hashes) -> KeyFilter:
        """Make the filter of keys by their hashes, about 1.25 bytes for each.

        Args:
            hashes: What `hash_rows` returned; a key may come twice.
        """
        size = _size(len(hashes))
        flags = np.zeros(size, np.bool_)
        place = hashes.astype(np.uint32)
        step = (hashes >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
        for _ in range(PROBES):
            flags[(place.astype(np.uint64) * np.uint64(size)) >> np.uint64(32)] = True
            place += step
        return cls(np.packbits(flags).tobytes())

    def might_hold(self, key: int) -> bool:
        """Whether the key of this hash may be one of them; False is certain.

        Args:
            key: What `hash_key` returned.
        """
        size = len(self.bits) * 8
        place, step = key & 0xFFFFFFFF, key >> 32 | 1
        for _ in range(PROBES):
            bit = place * size >> 32
            if not self.bits[bit >> 3] & 0x80 >> (bit & 7):
                return False
            place = place + step & 0xFFFFFFFF
        return True

    def to_bytes(self) -> bytes:
        """Return the filter as the ledger keeps it."""
        return _FORMAT + self.bits

    @classmethod
    def from_bytes(cls, kept: bytes) -> KeyFilter:
        """Return the filter that `to_bytes` wrote.

        Raises:
            LedgerError: A later version of this package wrote it in another form.
        """
        if kept[:1] != _FORMAT:
            raise LedgerError(
                f"a key filter of the ledger is of form {kept[:1].hex() or 'none'}, which this "
                "version does not know",
                hint="Use the version of prefect-cassandra that made the load, or a later one.",
            )
        return cls(kept[1:])


def hash_rows(columns: Sequence[Cells]) -> Hashes:
    """Return a hash of each row's key.

    Args:
        columns: The key's columns in key order, encoded, at least one; none may be missing.
    """
    # Statements hash single keys, and should not pay for pyarrow.
    from prefect_cassandra.driver.encoded import FixedCells  # noqa: PLC0415

    hashes = np.full(len(columns[0]), _SEED, np.uint64)
    for cells in columns if len(hashes) else ():
        if isinstance(cells, FixedCells):
            items = np.ascontiguousarray(cells.sent())
            _take_in_table(hashes, items.view(np.uint8).reshape(len(items), -1))
        else:
            _take_in_varied(hashes, cells.array)
    hashes ^= hashes >> np.uint64(33)
    hashes *= np.uint64(_END)
    hashes ^= hashes >> np.uint64(33)
    return hashes


def hash_key(values: Sequence[bytes]) -> int:
    """Return the hash of one key, the same that `hash_rows` gives it.

    Args:
        values: The key's columns in key order, each in the bytes of its type.
    """
    found = _SEED
    for value in values:
        found ^= len(value) * _LENGTH & _ALL
        for start in range(0, max(1, len(value)), _WORD):
            found ^= int.from_bytes(value[start : start + _WORD], "little")
            found = found * _STEP & _ALL
            found ^= found >> 32
    found ^= found >> 33
    found = found * _END & _ALL
    return found ^ found >> 33


def filter_request(  # noqa: PLR0913, PLR0917 -- the columns of the table
    session: Session,
    table: str,
    start: int,
    number: int,
    digest: bytes,
    made: KeyFilter,
    keep: timedelta,
) -> Request:
    """Return the request that keeps the filter of a chunk; to be sent along with its rows.

    Args:
        session: Logged in as a role that may write the stamp tables.
        table: `keyspace.table`.
        start: First stamp of the chunk's block.
        number: The chunk's number.
        digest: Of the chunk's content: attempts that agree on it share one filter.
        made: The filter.
        keep: How long it is kept, whole seconds.
    """
    prepared = session.prepare(_SAVE)
    seconds = int(keep.total_seconds())
    values = prepared.check([table, start, number, digest, made.to_bytes(), seconds])
    request = session.single(prepared, values, consistency=QUORUM, idempotent=True)
    request.rows = 0
    return request


def require_filters(session: Session) -> None:
    """Look at the table of filters before anything is written.

    Args:
        session: Logged in as a role that may use the stamp tables.

    Raises:
        NoStampsError: The cluster has no table for filters, or not for this role.
    """
    # Whether a role may use a table is asked only when a statement runs.
    with ledger_access():
        session.execute(_READ, ["", 0, 0], consistency=QUORUM)


def filters_of(session: Session, table: str, start: int, number: int) -> list[KeyFilter]:
    """Return the filters of a chunk: one for each content it was sent with, or none any more.

    Args:
        session: Logged in as a role that may read the stamp tables.
        table: `keyspace.table`.
        start: First stamp of the chunk's block.
        number: The chunk's number.

    Raises:
        NoStampsError: The cluster has no table for filters, or not for this role.
        LedgerError: A later version of this package wrote one in another form.
    """
    with ledger_access():
        rows = session.execute(_READ, [table, start, number], consistency=QUORUM).rows
    return [KeyFilter.from_bytes(row["filter"]) for row in rows]


def _size(keys: int) -> int:
    """Return the bits of a filter for so many keys: whole bytes."""
    return max(_LEAST_BITS, -(-keys * BITS // 8) * 8)


def _take_in(hashes: Hashes, words: Hashes) -> None:
    hashes ^= words
    hashes *= np.uint64(_STEP)
    hashes ^= hashes >> np.uint64(32)


def _take_in_table(hashes: Hashes, values: NDArray[np.uint8]) -> None:
    """Take in values of one length, a row of bytes each."""
    width = values.shape[1]
    hashes ^= np.uint64(width * _LENGTH & _ALL)
    for start in range(0, max(1, width), _WORD):
        held = values[:, start : start + _WORD]
        _take_in(hashes, _words(held))


def _words(values: NDArray[np.uint8]) -> Hashes:
    """Return rows of at most eight bytes as little-endian numbers."""
    width = values.shape[1]
    if width in (1, 2, 4, 8):
        narrow = np.ascontiguousarray(values).view(f"<u{width}")[:, 0]
        return narrow.astype(np.uint64, copy=False)
    padded = np.zeros((len(values), _WORD), np.uint8)
    padded[:, :width] = values
    return padded.view("<u8")[:, 0]


def _take_in_varied(hashes: Hashes, values: Any) -> None:
    """Take in values of any length: a `large_binary` array without nulls."""
    _, where, held = values.buffers()
    offsets = np.frombuffer(where, np.int64)[values.offset :][: len(values) + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    data = np.zeros(0, np.uint8) if held is None else np.frombuffer(held, np.uint8)[first:last]
    lengths = np.diff(offsets)
    width = int(lengths[0])
    if (lengths == width).all():
        _take_in_table(hashes, data.reshape(len(lengths), width))
        return
    hashes ^= lengths.astype(np.uint64) * np.uint64(_LENGTH)
    # A word may begin at any byte; those behind the last value are zero.
    padded = np.zeros(len(data) + _WORD, np.uint8)
    padded[: len(data)] = data
    words = np.ndarray((len(data) + 1,), "<u8", padded, strides=(1,))
    starts = offsets[:-1] - first
    longest = int(lengths.max())
    for begin in range(0, max(1, longest), _WORD):
        # Those that end before are done; of an empty value the one word is zero.
        active = slice(None) if not begin else np.flatnonzero(lengths > begin)
        left = np.minimum(lengths[active] - begin, _WORD)
        taken = words[starts[active] + begin] & _FIRST_BYTES[left]
        part = hashes[active]
        _take_in(part, taken)
        hashes[active] = part
