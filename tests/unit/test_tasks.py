from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from prefect.cache_policies import NO_CACHE

import prefect_cassandra
from prefect_cassandra import tasks
from prefect_cassandra.tasks import load_artifacts, statements
from prefect_cassandra.writes.loader import LoadOptions
from prefect_cassandra.writes.report import LoadReport, Reject

if TYPE_CHECKING:
    from prefect import Task

PAIRS = [
    (tasks.cassandra_query, tasks.acassandra_query),
    (tasks.cassandra_execute, tasks.acassandra_execute),
    (tasks.cassandra_execute_many, tasks.acassandra_execute_many),
    (tasks.claim, tasks.aclaim),
    (tasks.load_table, tasks.aload_table),
    (tasks.read_table, tasks.aread_table),
    (tasks.unload_table, tasks.aunload_table),
    (tasks.read_changes, tasks.aread_changes),
    (tasks.commit_changes, tasks.acommit_changes),
    (tasks.who_wrote, tasks.awho_wrote),
    (tasks.written_by, tasks.awritten_by),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].name)
def test_twins_take_the_same_parameters_and_differ_in_waiting(
    pair: tuple[Task[Any, Any], Task[Any, Any]],
) -> None:
    blocking, awaited = pair
    assert inspect.signature(blocking.fn) == inspect.signature(awaited.fn)
    assert not blocking.isasync
    assert awaited.isasync
    assert awaited.fn.__name__ == f"a{blocking.fn.__name__}"


@pytest.mark.parametrize("one", [one for pair in PAIRS for one in pair], ids=lambda one: one.name)
def test_tasks_never_hash_their_inputs_and_carry_a_tag(one: Task[Any, Any]) -> None:
    assert one.cache_policy == NO_CACHE
    assert one.tags == {"cassandra"}
    assert one.description


def test_package_offers_every_task_by_name() -> None:
    for one in (one for pair in PAIRS for one in pair):
        assert getattr(prefect_cassandra, one.fn.__name__) is one
        assert one.fn.__name__ in dir(prefect_cassandra)
    assert prefect_cassandra.LoadReport is LoadReport
    with pytest.raises(AttributeError, match="no attribute 'load_tabel'"):
        _ = prefect_cassandra.load_tabel


def test_load_options_have_the_defaults_of_the_task() -> None:
    parameters = inspect.signature(tasks.load_table.fn).parameters
    options = LoadOptions()
    for name in ("mode", "consistency", "on_error", "reject_limit"):
        assert parameters[name].default == getattr(options, name)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"query": "SELECT *\n  FROM flights.airports"}, "SELECT * FROM flights.airports"),
        ({"statement": "TRUNCATE a.b"}, "TRUNCATE a.b"),
        ({"query": "SELECT " + "x" * 100}, "SELECT " + "x" * 52 + "…"),
    ],
)
def test_runs_are_named_after_their_statement(parameters: dict[str, Any], name: str) -> None:
    assert statements._StatementName()(parameters=parameters) == name


def test_run_names_show_no_password() -> None:
    statement = "CREATE ROLE app WITH PASSWORD = 'correct horse' AND LOGIN = true"
    assert "correct horse" not in statements._StatementName()(parameters={"statement": statement})


def test_artifacts_tell_numbers_and_rejects_under_keys_that_prefect_takes() -> None:
    rejects = (Reject(3, "day", "gone", "a.csv"),)
    report = LoadReport("Flights.by_day", rows=1, bytes=70, rejected=2, rejects=rejects)
    numbers, rejected = load_artifacts.table_artifacts(report)
    assert numbers["key"] == "load-flights-by-day"
    assert (numbers["table"][0]["rows"], numbers["table"][0]["bytes"]) == (1, 70)
    assert rejected["key"] == "rejected-flights-by-day"
    row = {"file": "a.csv", "row": 3, "column": "day", "reason": "gone"}
    assert rejected["table"] == [row]
    assert rejected["description"].startswith("2 rows of 3 were not written")
    assert len(load_artifacts.table_artifacts(LoadReport("a.b"))) == 1


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (pa.table({"a": [1, 2]}), 2),
        (pa.record_batch({"a": [1]}), 1),
        (pd.DataFrame({"a": [1, 2, 3]}), 3),
        (iter([]), None),
        (list, None),
    ],
)
def test_rows_are_known_of_what_tells_them_without_being_read(data: Any, rows: Any) -> None:
    assert load_artifacts.known_rows(data) == rows


class _Session:
    """Hands a canned answer to a task called outside of any run."""

    columns = ("n",)
    types: tuple[Any, ...] = ()
    applied = True

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.asked: tuple[Any, ...] = ()

    def execute(self, *asked: Any, **_options: Any) -> _Session:
        self.asked = asked
        return self


class _Cluster:
    keyspace = None

    def __init__(self, session: _Session) -> None:
        self.session = lambda: session


def test_tasks_work_outside_of_a_run() -> None:
    session = _Session([{"n": 1}])
    assert tasks.cassandra_query.fn(_Cluster(session), "SELECT", [5]) == [{"n": 1}]  # type: ignore[arg-type]
    assert session.asked == ("SELECT", [5])
    assert tasks.cassandra_execute.fn(_Cluster(session), "INSERT", {"a": 1}) is True  # type: ignore[arg-type]


IMPORT = """
import sys, time
start = time.process_time()
import prefect
from prefect import flow, task
prefect_cost = time.process_time() - start
import prefect_cassandra
package_cost = time.process_time() - start - prefect_cost
from prefect_cassandra import CassandraCluster, cassandra_query, load_table
names_cost = time.process_time() - start - prefect_cost
heavy = {"pandas", "pyarrow", "cassandra.cluster", "numpy"} & set(sys.modules)
assert not heavy, heavy
print(prefect_cost, package_cost, names_cost)
"""


@pytest.mark.slow
def test_import_costs_little_beside_prefects_own() -> None:
    command = [sys.executable, "-c", IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    prefect_cost, package_cost, names_cost = map(float, done.stdout.split())
    # In processor time and relative to Prefect's, so that a busy machine changes nothing.
    assert package_cost < 0.02 * prefect_cost
    assert names_cost < 0.35 * prefect_cost


def test_arrow_is_there_only_for_those_who_ask() -> None:
    # The guard of the test above: were pyarrow's name to change, it would look unloaded for ever.
    assert pa.__name__ == "pyarrow"
    assert "pyarrow" in sys.modules
