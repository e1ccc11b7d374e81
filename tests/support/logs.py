"""What a page of logs is: every line measured, sorted and cut. The stores have to agree with it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect_cassandra.state.log_query import LogLine, LogQuery


def page(
    lines: Iterable[LogLine], query: LogQuery, offset: int = 0, limit: int | None = None
) -> list[LogLine]:
    """Return a page of the lines that a question asks for, out of all lines."""
    meant = filter(query.matcher(), lines)
    ordered = sorted(meant, key=lambda line: line.order, reverse=query.descending)
    return list(islice(ordered, offset, None if limit is None else offset + limit))
