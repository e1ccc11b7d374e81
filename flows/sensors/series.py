"""Readings of sensors that do not exist: the same for the same seed, however the work is cut."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = 1_440
# One reading of a thousand carries a status, which a reader has to look at.
_ALARMS = 0.001


def readings(first: int, sensors: int, days: int, start: date, seed: int) -> Iterator[pa.Table]:
    """Yield one table a sensor: a reading a minute, for so many days.

    Args:
        first: Number of the first sensor.
        sensors: How many sensors.
        days: How many days.
        start: The first day, in UTC.
        seed: Another seed gives other readings.
    """
    for sensor in range(first, first + sensors):
        yield _of_one(sensor, days, start, seed)


def _of_one(sensor: int, days: int, start: date, seed: int) -> pa.Table:
    # The sensor is part of the seed, so its readings do not depend on which part it is in.
    random = np.random.default_rng([seed, sensor])
    size = days * MINUTES
    minutes = np.arange(size)
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    at = np.datetime64(midnight.replace(tzinfo=None), "ms") + minutes.astype("timedelta64[m]")
    daily = np.sin(minutes * (2 * np.pi / MINUTES))
    return pa.table(
        {
            "sensor": pa.array([f"sensor-{sensor:06d}"] * size),
            "day": pa.array(
                np.repeat([start + timedelta(days=day) for day in range(days)], MINUTES)
            ),
            "at": pa.array(at).cast(pa.timestamp("ms", "UTC")),
            "celsius": 15 + 8 * daily + random.normal(0, 0.5, size),
            "humidity": 60 - 20 * daily + random.normal(0, 2, size),
            "status": (random.random(size) < _ALARMS).astype(np.int32),
        }
    )
