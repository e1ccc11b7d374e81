"""Reading one range of tokens to its end, in ever smaller pieces where the cluster has trouble."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from prefect_cassandra.driver.pages import PageReader, PageTooLargeError, result_columns
from prefect_cassandra.reads.arrow import Decoder
from prefect_cassandra.reads.culprit import inside, unreadable
from prefect_cassandra.reads.pacing import GROWTH, PageSize, Patience, Step
from prefect_cassandra.reads.query import range_query
from prefect_cassandra.reads.ranges import TokenRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from prefect_cassandra.driver.pages import RawPage
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.errors import NotAppliedError
    from prefect_cassandra.reads.query import Selection

logger = logging.getLogger(__name__)


class RangeReader:
    """Reads ranges of one table; one for all threads of a scan.

    Args:
        session: Where from.
        table: The table.
        chosen: Which rows and columns.
        consistency: Level instead of the session's.
        instead: Other Arrow types for some CQL types; see `arrow_types.arrow_type`.

    Attributes:
        bound: Values of the selection's own markers as CQL sends them, in hex.
    """

    def __init__(
        self,
        session: Session,
        table: TableInfo,
        chosen: Selection,
        *,
        consistency: str | None = None,
        instead: Mapping[str, pa.DataType] | None = None,
    ) -> None:
        self.session = session
        self._table = table
        self._chosen = chosen
        self._consistency = consistency
        self._prepared = session.prepare(range_query(table, chosen))
        # Values are checked once, before anything is read for them.
        values = self._prepared.check(chosen.values(TokenRange(0, 0)))
        # The first two markers are for the range.
        self.bound = [
            value.hex() if isinstance(value, bytes) else "null"
            for value in self._prepared.encoded(values)[2:]
        ]
        self.names, self.kinds = result_columns(self._prepared)
        self.decoder = Decoder(self.names, self.kinds, instead)
        self.size = PageSize()
        self._lock = threading.Lock()
        self.retries = 0

    def count_retries(self, more: int) -> None:
        """Add to the number of requests that were sent again."""
        with self._lock:
            self.retries += more

    def unreadable(
        self, piece: TokenRange, state: bytes | None, trouble: PageTooLargeError
    ) -> NotAppliedError:
        """Return the error for a piece that cannot be read however small its pages."""
        return unreadable(self.session, self._table, piece, state, trouble.error)

    def batches(self, whole: TokenRange) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a range, a page at a time; pages without rows are left out.

        Raises:
            NotAppliedError: A part of it cannot be read; names its token and partition key.
            UnreachableError: No node answered.
            DataError: A value does not fit its Arrow type.
        """
        return iter(_Reading(self, whole))

    def pages(self, piece: TokenRange) -> PageReader:
        """Return what fetches the pages of a range, from a replica of its rows."""
        return PageReader(
            self.session,
            self._prepared,
            self._prepared.check(self._chosen.values(piece)),
            token=piece.end,
            options={"consistency": self._consistency},
        )


class _Reading:
    """One pass over a range, in one thread."""

    def __init__(self, reader: RangeReader, whole: TokenRange) -> None:
        self._reader = reader
        # What is left to read, the next piece last, each from a place inside of it.
        self._left: list[tuple[TokenRange, bytes | None]] = [(whole, None)]
        self._rows = reader.size.rows
        self._patience = Patience()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while self._left:
            yield from self._piece(*self._left.pop())

    def _piece(self, piece: TokenRange, state: bytes | None) -> Iterator[pa.RecordBatch]:
        pages = self._reader.pages(piece)
        pages.begin(state, self._rows)
        try:
            while (page := self._page(pages, piece, state)) is not None:
                state = page.state
                if state is not None:
                    pages.begin(state, self._rows)
                if page.rows.rows:
                    yield self._reader.decoder.batch(page.rows)
                if state is None:
                    return
        finally:
            self._reader.count_retries(pages.retries)

    def _page(self, pages: PageReader, piece: TokenRange, state: bytes | None) -> RawPage | None:
        """Return a page, asking for less where it is too much; None when the piece was cut."""
        while True:
            try:
                page = pages.finish(state)
            except PageTooLargeError as trouble:
                step = self._patience.step()
                self._rows = max(1, self._rows // 2)
                self._reader.session.pause(self._patience.pause)
                if step is Step.SMALLER:
                    pages.begin(state, self._rows)
                    continue
                parts = _parts(piece, state) if step is Step.SPLIT else []
                if not parts:
                    raise self._reader.unreadable(piece, state, trouble) from trouble.error
                logger.info("%s: %s", step.value, trouble.error.message)
                self._left += reversed(parts)
                return None
            self._patience.answered()
            self._reader.size.learn(page.rows.rows, len(page.rows.body))
            self._rows = min(self._reader.size.rows, self._rows * GROWTH)
            return page


def _parts(piece: TokenRange, state: bytes | None) -> list[tuple[TokenRange, bytes | None]]:
    """Cut what is left of a piece in two; nothing when it cannot be cut.

    In the middle of a piece the rest of the partition under way is one part, still read from the
    place it was left at, and what comes after that partition is the other.
    """
    if state is None:
        return [(half, None) for half in piece.halves() or ()]
    found = inside(piece, state)
    if found is None or found[0] == piece.end:
        return []
    rest, after = TokenRange(piece.start, found[0]), TokenRange(found[0], piece.end)
    return [(rest, state), (after, None)]
