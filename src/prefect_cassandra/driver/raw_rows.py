"""Answers kept as the bytes they came in.

The driver decodes an answer on the one thread that serves every connection, and into an object per
value. For requests that ask for it that thread only keeps the bytes; whoever reads them makes
columns of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cassandra.protocol import ProtocolHandler, ResultMessage, read_int

from prefect_cassandra.driver.cqltype import CqlType, from_driver


@dataclass(frozen=True, slots=True)
class RawRows:
    """The rows of one page, undecoded.

    Args:
        names: Column names.
        kinds: The driver's classes of their types.
        rows: How many rows there are.
        body: Their values; see `numpy_rows.wire_columns`.
    """

    names: tuple[str, ...]
    kinds: tuple[Any, ...] = field(repr=False)
    rows: int
    body: bytes = field(repr=False)

    @property
    def types(self) -> tuple[CqlType, ...]:
        """The columns' CQL types."""
        return tuple(from_driver(kind) for kind in self.kinds)


# The driver registers every message class for all sessions unless its name starts with a `_`.
class _RawResult(ResultMessage):  # type: ignore[misc]  # the driver has no types
    """An answer whose rows are not looked at."""

    def recv_results_rows(
        self, f: Any, _version: int, user_types: Any, known: Any, _encryption: Any
    ) -> None:
        """Read what the rows are and keep them."""
        self.recv_results_metadata(f, user_types)
        columns = self.column_metadata or known
        self.column_names = [column[2] for column in columns]
        self.column_types = [column[3] for column in columns]
        rows = read_int(f)
        self.parsed_rows = RawRows(
            tuple(self.column_names), tuple(self.column_types), rows, f.read()
        )


class _RawHandler(ProtocolHandler):  # type: ignore[misc]  # the driver has no types
    """The driver's protocol but for the rows."""

    message_types_by_opcode = {  # noqa: RUF012 -- as the driver declares it
        **ProtocolHandler.message_types_by_opcode,
        _RawResult.opcode: _RawResult,
    }


def keep_raw(future: Any) -> None:
    """Have the answer to a statement marked `raw_rows` kept raw; called before it is sent."""
    if not getattr(future.query, "raw_rows", False):
        return
    future._protocol_handler = _RawHandler  # noqa: SLF001 -- the driver sets it per session only
    future.row_factory = lambda _names, rows: rows
    # Without it a server that knows protocol v4 only answers with the columns the table has now,
    # and the client would read them as those it had when the statement was prepared.
    if hasattr(future.message, "skip_meta"):
        future.message.skip_meta = False
