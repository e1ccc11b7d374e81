"""A weather service over HTTP: pages followed, busy answers waited for, payloads checked.

Speaks the protocol of the United States National Weather Service (https://api.weather.gov), which
needs no key: `GET /stations/{id}/observations?start=&limit=` answers GeoJSON with the newest
observation first and the address of the next page under `pagination.next`.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY = frozenset({429, 500, 502, 503, 504})
LONGEST_PAUSE = 60.0  # seconds
MOST_PAGES = 1000  # a service that never ends its pages must not keep a run for ever

# Column of ours: name in the payload, the only unit accepted for it.
MEASURES = {
    "temperature_c": ("temperature", "wmoUnit:degC"),
    "dewpoint_c": ("dewpoint", "wmoUnit:degC"),
    "humidity_percent": ("relativeHumidity", "wmoUnit:percent"),
    "wind_direction_deg": ("windDirection", "wmoUnit:degree_(angle)"),
    "wind_speed_kmh": ("windSpeed", "wmoUnit:km_h-1"),
    "pressure_pa": ("barometricPressure", "wmoUnit:Pa"),
}


class PayloadError(ValueError):
    """The service answered, but not with what it promises; a retry will not help."""


class ServiceBusyError(RuntimeError):
    """The service was busy or unreachable on every attempt; a later run may succeed."""


def pause_before(attempt: int, retry_after: str | None, now: datetime) -> float:
    """Return the seconds to wait before sending a request again.

    Args:
        attempt: How many times it was sent already, from 1.
        retry_after: The `Retry-After` header: seconds or a date (RFC 9110, section 10.2.3).
        now: The time, with its zone.
    """
    if retry_after is not None and retry_after.strip().isdigit():
        return min(float(retry_after), LONGEST_PAUSE)
    if retry_after is not None:
        try:
            wait = (parsedate_to_datetime(retry_after) - now).total_seconds()
        except (TypeError, ValueError):
            pass  # neither seconds nor a date with a zone: as if it were not there
        else:
            return min(max(wait, 0.0), LONGEST_PAUSE)
    # Full jitter, so that many clients do not come back at the same moment.
    return random.uniform(0, min(2.0 ** (attempt - 1), LONGEST_PAUSE))  # noqa: S311 -- no secret


def get_json(client: httpx.Client, url: str, attempts: int = 5) -> Any:
    """Return the decoded JSON at an address, waiting while the service is busy.

    Raises:
        ServiceBusyError: It was busy or unreachable on every attempt.
        PayloadError: It answered something else than JSON.
        httpx.HTTPStatusError: It refused the request; that will not change.
    """
    for attempt in range(1, attempts + 1):
        retry_after = None
        try:
            answer = client.get(url)
        except httpx.TransportError as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            if answer.status_code not in BUSY:
                return _decoded(answer.raise_for_status())
            reason, retry_after = f"HTTP {answer.status_code}", answer.headers.get("Retry-After")
        if attempt < attempts:
            time.sleep(pause_before(attempt, retry_after, datetime.now(UTC)))
    raise ServiceBusyError(f"{url}: no answer after {attempts} attempts, the last one {reason}")


def _decoded(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise PayloadError(f"{answer.url}: not JSON ({error})") from error


def pages(client: httpx.Client, station: str, after: datetime | None, limit: int) -> Iterator[Any]:
    """Yield every page of a station's observations since a moment, decoded.

    Raises:
        PayloadError: A page leads to another server, or to no end.
    """
    query: dict[str, str | int] = {"limit": limit}
    if after is not None:
        query["start"] = after.isoformat()
    url = client.base_url.join(f"stations/{station}/observations").copy_merge_params(query)
    for _ in range(MOST_PAGES):
        page = get_json(client, str(url))
        yield page
        if (following := _next_page(page)) is None:
            return
        url = url.join(following)
        if (url.scheme, url.netloc) != (client.base_url.scheme, client.base_url.netloc):
            raise PayloadError(f"{station}: the next page is on another server, {url.host}")
    raise PayloadError(f"{station}: more than {MOST_PAGES} pages")


def _next_page(page: Any) -> str | None:
    """Return the next page's address; an empty page is the last one, whatever it says."""
    if not isinstance(page, dict) or not page.get("features"):
        return None
    pagination = page.get("pagination")
    return pagination.get("next") if isinstance(pagination, dict) else None


def observations(page: Any, station: str) -> list[dict[str, Any]]:
    """Return the observations of one page as rows of `weather_api.by_station_day`.

    Raises:
        PayloadError: Something is missing, of the wrong kind or in another unit; says which.
    """
    if not isinstance(page, dict) or not isinstance(page.get("features"), list):
        raise PayloadError(f"{station}: the page has no list called `features`")
    return [_observation(feature, station, at) for at, feature in enumerate(page["features"])]


def _observation(feature: Any, station: str, position: int) -> dict[str, Any]:
    where = f"{station}, observation {position}"
    try:
        properties = feature["properties"]
        observed_at = datetime.fromisoformat(properties["timestamp"])
        measures = {
            column: _measure(properties.get(name), unit, f"{where}, {name}")
            for column, (name, unit) in MEASURES.items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, PayloadError):
            raise
        raise PayloadError(f"{where}: {type(error).__name__}: {error}") from error
    if observed_at.tzinfo is None:
        raise PayloadError(f"{where}: timestamp {properties['timestamp']!r} has no time zone")
    observed_at = observed_at.astimezone(UTC)
    return {
        "station": station,
        "day": observed_at.date(),
        "observed_at": observed_at,
        "description": properties.get("textDescription") or None,
        **measures,
    }


def _measure(measure: Any, unit: str, where: str) -> float | None:
    if measure is None or measure["value"] is None:
        return None
    if measure["unitCode"] != unit:
        raise PayloadError(f"{where}: the unit is {measure['unitCode']}, not {unit}")
    return float(measure["value"])


def as_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame in which what is missing stays missing, not NaN."""
    columns = ["station", "day", "observed_at", "description", *MEASURES]
    frame = pd.DataFrame(rows, columns=columns)
    frame["observed_at"] = pd.to_datetime(frame["observed_at"], utc=True)
    return frame.astype(dict.fromkeys(MEASURES, "Float64"))
