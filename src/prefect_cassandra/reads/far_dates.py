"""Days before the year 1 and after the year 9999 as text: ISO 8601 with a sign before the year.

CQL's `date` spans years -5877641 to 5881580; Python's and Arrow's own spellings end much earlier.
The year 0 is the one before the year 1. The sums are those of the proleptic Gregorian calendar in
eras of 400 years, which begin on the first of March (H. Hinnant, "chrono-Compatible Low-Level Date
Algorithms").
"""

from __future__ import annotations

import re

# Days since 1970-01-01 that Python's own dates hold: years 1 to 9999.
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
_SIGNED = re.compile(r"([+-][0-9]{4,9})-([0-9]{2})-([0-9]{2})")
_ERA_DAYS = 146_097
_TO_ERAS = 719_468  # days from 0000-03-01 to 1970-01-01
_MARCH = 3


def spelled(day: int) -> str:
    """Return a day as text, such as `+12345-01-31` or `-0043-03-15`.

    Args:
        day: Days since 1970-01-01.
    """
    year, month, of_month = _civil(day)
    return f"{year:+05}-{month:02}-{of_month:02}"


def day_of(text: str) -> int | None:
    """Return the days from 1970-01-01 to a day that was `spelled`; None for any other text."""
    match = _SIGNED.fullmatch(text)
    if match is None:
        return None
    year, month, of_month = map(int, match.groups())
    early = month < _MARCH
    era, of_era = divmod(year - early, 400)
    of_year = (153 * (month + (9 if early else -3)) + 2) // 5 + of_month - 1
    day = era * _ERA_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _TO_ERAS
    # The 31st of a month of 30 days would be the first of the next.
    return day if _civil(day) == (year, month, of_month) else None


def _civil(day: int) -> tuple[int, int, int]:
    """Return year, month and day of the month."""
    era, of_era = divmod(day + _TO_ERAS, _ERA_DAYS)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    of_month = of_year - (153 * from_march + 2) // 5 + 1
    month = from_march + 3 if from_march < 10 else from_march - 9  # noqa: PLR2004 -- January
    return year + era * 400 + (month < _MARCH), month, of_month
