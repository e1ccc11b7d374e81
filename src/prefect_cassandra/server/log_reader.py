"""Reads run logs through a Prefect server's API, whichever store is behind it.

Pages are asked for by time and not by number: then the server has nothing to skip, and lines that
come in meanwhile move no page. Lines of the time at which a page ended come again and are left out.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter, LogFilter
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_cassandra.errors import ConfigurationError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import Log

# What a server gives at most, as long as nobody lowers PREFECT_SERVER_API_DEFAULT_LIMIT.
PAGE = 200
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines.

    Attributes:
        run: Id or name of a flow run.
        flow: Name of a flow; of its newest runs, 200 at most.
        since: Only lines from then on.
        level: Lowest level.
        grep: Regular expression that the message has to contain.
    """

    run: str | None = None
    flow: str | None = None
    since: datetime | None = None
    level: int = 0
    grep: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on.

    Attributes:
        after: Time of the last line that was read.
        seen: Lines of that time that were read.
        skip: How many of them the server has to skip: a page was full of them.
    """

    after: datetime | None = None
    seen: frozenset[UUID] = frozenset()
    skip: int = 0


def turn(position: Position, page: Sequence[Log], length: int) -> tuple[list[Log], Position | None]:
    """Return the lines of a page that are new, and where the next begins; None at the end. Pure.

    Args:
        position: Where the page was asked for.
        page: What came, in the order of time.
        length: How many lines a full page has.
    """
    fresh = [line for line in page if line.id not in position.seen]
    if len(page) < length or not page:
        return fresh, None
    last = page[-1].timestamp
    seen = frozenset(line.id for line in page if line.timestamp == last)
    if last == position.after:
        return fresh, Position(last, position.seen | seen, position.skip + len(page))
    return fresh, Position(last, seen)


def read_logs(url: str | None, wanted: Wanted) -> Iterator[Log]:
    """Yield the lines that are wanted, in the order of time.

    Args:
        url: Address of the API; the one of Prefect's settings when not given.
        wanted: Which lines.

    Raises:
        ConfigurationError: There is no such run or flow, or no server is named.
        UnreachableError: The server does not answer, or its log store does not.
    """
    with _client(url) as client:
        criteria: dict[str, Any] = {"level": {"ge_": wanted.level}}
        runs = _runs(client, wanted)
        if runs is not None:
            criteria["flow_run_id"] = {"any_": runs}

        def fetch(position: Position) -> Sequence[Log]:
            after = position.after or wanted.since
            times = {} if after is None else {"timestamp": {"after_": after}}
            found = LogFilter.model_validate(criteria | times)
            return client.read_logs(found, limit=PAGE, offset=position.skip)

        for line in _all(fetch):
            if wanted.grep is None or wanted.grep.search(line.message):
                yield line


def since(text: str, now: datetime | None = None) -> datetime:
    """Return the time that `90s`, `15m`, `1h` or `7d` ago was.

    Raises:
        ConfigurationError: It is none of these.
    """
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise ConfigurationError(
            f"{text!r} is no time to look back.", hint="Use for example 90s, 15m, 1h or 7d."
        )
    return (now or datetime.now(UTC)) - timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _all(fetch: Callable[[Position], Sequence[Log]]) -> Iterator[Log]:
    position: Position | None = Position()
    while position is not None:
        fresh, position = turn(position, fetch(position), PAGE)
        yield from fresh


def _runs(client: SyncPrefectClient, wanted: Wanted) -> list[UUID] | None:
    """Return the runs whose lines are wanted; None for all."""
    if wanted.run is None and wanted.flow is None:
        return None
    flow = None if wanted.flow is None else FlowFilter.model_validate({"name": _any(wanted.flow)})
    run = None
    if wanted.run is not None:
        try:
            run = FlowRunFilter.model_validate({"id": _any(str(UUID(wanted.run)))})
        except ValueError:
            run = FlowRunFilter.model_validate({"name": _any(wanted.run)})
    found = client.read_flow_runs(
        flow_filter=flow, flow_run_filter=run, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=PAGE
    )
    if not found:
        what = f"run {wanted.run!r}" if wanted.run is not None else f"run of a flow {wanted.flow!r}"
        raise ConfigurationError(
            f"There is no {what} on {client.api_url}.",
            hint="`prefect flow-run ls` lists the runs of the server that PREFECT_API_URL names.",
        )
    return [one.id for one in found]


def _any(value: str) -> dict[str, list[str]]:
    return {"any_": [value]}


@contextmanager
def _client(url: str | None) -> Iterator[SyncPrefectClient]:
    """Connect to a server; what it does not answer becomes an error of ours."""
    address = url or PREFECT_API_URL.value()
    if not address:
        raise ConfigurationError(
            "No Prefect server is named, and no stack runs on this machine.",
            hint="Set PREFECT_API_URL, or name the server with --url.",
        )
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        try:
            yield client
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            raise UnreachableError(
                f"The Prefect server {address} does not give the logs: {error}",
                hint="Look whether it runs; its own log says what its log store answers.",
            ) from error
