"""Run logs through the API of a real server: Prefect's own, and ours in a real Cassandra.

Cases without a store in their name run against both, so that neither can mean something else.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.logging.clients import PrefectLogsSubscriber

from prefect_cassandra.cli.app import run as cli
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import PermissionDeniedError
from prefect_cassandra.schema import apply
from prefect_cassandra.state.log_query import (
    HOUR,
    Levels,
    LineIds,
    LogLine,
    LogQuery,
    Runs,
    Tasks,
    Times,
    Words,
    microseconds,
)
from prefect_cassandra.state.logs import CassandraLogs
from support.log_server import Api, api_at, log_server
from support.logs import page
from support.proxy import FaultProxy
from support.schema import Ground
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.local.stack import Stack

NOW = datetime(2026, 5, 6, 7, 8, 9, 123_456, tzinfo=UTC)
STREAMED = {
    "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
    "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
}


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("logs"))
    apply(made.config, made.installation)
    return made


@pytest.fixture(scope="module")
def proxy(ground: Ground) -> Iterator[FaultProxy]:
    (address,) = ground.config.contact_points
    with FaultProxy((address, ground.config.port), "127.0.0.5", ground.config.port) as made:
        yield made


@pytest.fixture(scope="module")
def apis(
    stack: Stack, ground: Ground, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Api]]:
    """Both servers; ours reaches Cassandra through a proxy that can fail."""
    folder = tmp_path_factory.mktemp("server")
    config = replace(ground.role("prefect_state"), contact_points=(proxy.host,))
    with ExitStack() as open_:
        ours = open_.enter_context(log_server(folder, stack.config.cache, config, STREAMED))
        stock = open_.enter_context(api_at(str(stack.api_url)))
        yield {"stock": stock, "ours": ours}


@pytest.fixture(params=["stock", "ours"])
def api(request: pytest.FixtureRequest, apis: dict[str, Api]) -> Api:
    return apis[request.param]


@pytest.fixture
def ours(apis: dict[str, Api]) -> Api:
    return apis["ours"]


def line(message: str, run: str | None, after: timedelta = timedelta(), **more: Any) -> Any:
    return {
        "name": "prefect.flow_runs",
        "level": 20,
        "message": message,
        "timestamp": (NOW + after).isoformat(),
        "flow_run_id": run,
        **more,
    }


def of(run: str) -> dict[str, Any]:
    return {"flow_run_id": {"any_": [run]}}


@pytest.fixture(scope="module")
def run(apis: dict[str, Api]) -> dict[str, str]:
    """One run with its lines, the same in both stores; its tasks and another run."""
    ids = {name: str(uuid.uuid4()) for name in ("run", "other", "task", "second")}
    task, second = ids["task"], ids["second"]
    lines = [
        line("Ahoy, captain", ids["run"], level=10),
        line("Aye-aye, captain!", ids["run"], timedelta(minutes=1)),
        line("Black flag ahead!", ids["run"], timedelta(hours=1), level=50, task_run_id=task),
        line("Connection timeout", ids["run"], timedelta(hours=2), level=40, task_run_id=second),
        line("one of another run", ids["other"], timedelta(seconds=1), name="other.logger"),
    ]
    for api in apis.values():
        api.send(lines)
    return ids


def test_a_line_comes_back_as_it_was_sent(api: Api) -> None:
    run, task = str(uuid.uuid4()), str(uuid.uuid4())
    sent = line("Größe ☃\nsecond line", run, task_run_id=task, level=33, name="a.b")
    api.send([sent])
    (found,) = api.read(of(run))
    assert set(found) == {*sent, "id", "created", "updated"}
    assert {name: found[name] for name in sent} == sent | {"timestamp": found["timestamp"]}
    assert datetime.fromisoformat(found["timestamp"]) == NOW
    uuid.UUID(found["id"])
    age = datetime.now(UTC) - datetime.fromisoformat(found["created"])
    assert timedelta(seconds=-5) < age < timedelta(minutes=2)


def test_nul_characters_are_left_out(api: Api) -> None:
    run = str(uuid.uuid4())
    api.send([line("a\0b", run, name="x\0y")])
    assert [(one["message"], one["name"]) for one in api.read(of(run))] == [("ab", "xy")]


ALL = ["Ahoy, captain", "Aye-aye, captain!", "Black flag ahead!", "Connection timeout"]
CASES: list[tuple[str, dict[str, Any], list[int]]] = [
    ("nothing more", {}, [0, 1, 2, 3]),
    ("from a level", {"level": {"ge_": 40}}, [2, 3]),
    ("up to a level", {"level": {"le_": 20}}, [0, 1]),
    ("between levels", {"level": {"ge_": 20, "le_": 40}}, [1, 3]),
    ("no bounds", {"level": {}}, [0, 1, 2, 3]),
    ("from a time on", {"timestamp": {"after_": 1}}, [1, 2, 3]),
    ("up to a time", {"timestamp": {"before_": 1}}, [0, 1]),
    ("at a time", {"timestamp": {"before_": 60, "after_": 60}}, [2]),
    ("another zone", {"timestamp": {"after_": "2026-05-06T10:08:09.123456+02:00"}}, [2, 3]),
    ("of a task", {"task_run_id": {"any_": ["task"]}}, [2]),
    ("of tasks", {"task_run_id": {"any_": ["task", "second"]}}, [2, 3]),
    ("of no task", {"task_run_id": {"is_null_": True}}, [0, 1]),
    ("of any task", {"task_run_id": {"is_null_": False}}, [2, 3]),
    ("of none of no tasks", {"task_run_id": {"any_": []}}, []),
]
# Prefect searches text with a function of SQLite 3.44; where that is older it answers 500. That the
# words mean the same is shown in `tests/unit/server/test_log_service.py` by Prefect's own code.
TEXTS: list[tuple[str, dict[str, Any], list[int]]] = [
    ("a word", {"text": {"query": "captain"}}, [0, 1]),
    ("words, one of them", {"text": {"query": "ahoy flag"}}, [0, 2]),
    ("without a word", {"text": {"query": "-captain"}}, [2, 3]),
    ("a word, not another", {"text": {"query": "captain !ahoy"}}, [1]),
    ("words, all of them", {"text": {"query": "+captain +aye"}}, [1]),
    ("a phrase", {"text": {"query": '"flag ahead"'}}, [2]),
    ("the logger", {"text": {"query": "prefect.flow_runs"}}, [0, 1, 2, 3]),
    ("like a pattern, and is none", {"text": {"query": "A%n"}}, []),
    ("no words", {"text": {"query": "  "}}, [0, 1, 2, 3]),
    ("two criteria", {"level": {"ge_": 40}, "text": {"query": "timeout"}}, [3]),
]


def wanted(criteria: dict[str, Any], run: dict[str, str]) -> dict[str, Any]:
    """Put ids and times in: numbers are minutes after the first line."""
    found: dict[str, Any] = {"flow_run_id": {"any_": [run["run"]]}}
    for name, inner in criteria.items():
        found[name] = {
            key: (NOW + timedelta(minutes=value)).isoformat()
            if name == "timestamp" and isinstance(value, int)
            else [run.get(one, one) for one in value]
            if key == "any_"
            else value
            for key, value in inner.items()
        }
    return found


@pytest.mark.parametrize(("criteria", "places"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_filters(
    api: Api, run: dict[str, str], criteria: dict[str, Any], places: list[int]
) -> None:
    logs = wanted(criteria, run)
    assert api.messages(logs) == [ALL[place] for place in places]
    newest_first = api.messages(logs, sort="TIMESTAMP_DESC")
    assert newest_first == [ALL[place] for place in reversed(places)]


@pytest.mark.parametrize(("criteria", "places"), [c[1:] for c in TEXTS], ids=[c[0] for c in TEXTS])
def test_ours_searches_text(
    ours: Api, run: dict[str, str], criteria: dict[str, Any], places: list[int]
) -> None:
    assert ours.messages(wanted(criteria, run)) == [ALL[place] for place in places]


@pytest.mark.parametrize(
    ("criteria", "places"),
    [
        ({"task_run_id": {"any_": ["task"]}, "level": {"le_": 10}}, [0, 2]),
        ({"level": {"ge_": 50}, "timestamp": {"before_": 1}}, [0, 1, 2]),
        ({"timestamp": {"after_": 60}, "task_run_id": {"is_null_": True}}, [0, 1, 2, 3]),
    ],
    ids=["task or level", "level or time", "time or no task"],
)
def test_one_criterion_is_enough_with_or(
    api: Api, run: dict[str, str], criteria: dict[str, Any], places: list[int]
) -> None:
    logs = wanted(criteria, run) | {"operator": "or_"}
    # The run itself would be enough; other lines of the server may fit as well.
    del logs["flow_run_id"]
    found = [
        one["message"] for one in api.read(logs, limit=200) if one["flow_run_id"] == run["run"]
    ]
    assert found == [ALL[place] for place in places]


def test_several_runs_are_merged_in_the_order_of_time(api: Api, run: dict[str, str]) -> None:
    both = {"flow_run_id": {"any_": [run["run"], run["other"]]}}
    expected = [ALL[0], "one of another run", *ALL[1:]]
    assert api.messages(both) == expected
    assert api.messages(both, sort="TIMESTAMP_DESC") == expected[::-1]
    assert api.messages({"flow_run_id": {"any_": []}}) == []


def test_without_a_filter_the_lines_of_all_runs_come(api: Api, run: dict[str, str]) -> None:
    window = {"timestamp": {"after_": NOW.isoformat(), "before_": NOW.isoformat()}}
    assert ALL[0] in api.messages(window)
    assert len(api.read(None, limit=3)) == 3
    assert api.client.post("/logs/filter").status_code == 200
    assert run


def test_lines_of_no_run_are_found_by_time_and_by_task(api: Api) -> None:
    task = str(uuid.uuid4())
    at = datetime.now(UTC)
    sent = line("of nobody", None, task_run_id=task) | {"timestamp": at.isoformat()}
    api.send([sent])
    moment = {"timestamp": {"after_": at.isoformat(), "before_": at.isoformat()}}
    for logs in (moment, {"task_run_id": {"any_": [task]}}):
        (found,) = api.read(logs)
        assert (found["message"], found["flow_run_id"]) == ("of nobody", None)


def test_pages_meet_without_a_gap_over_the_buckets_of_hours(api: Api) -> None:
    run = str(uuid.uuid4())
    lines = [line(f"{n}", run, timedelta(seconds=37 * n)) for n in range(450)]
    api.send(lines[::-1])
    turned = [
        message
        for offset in range(0, 500, 90)
        for message in api.messages(of(run), offset=offset, limit=90)
    ]
    assert turned == [f"{n}" for n in range(450)]
    # Any page by itself, last one first.
    for offset in (440, 123, 0):
        page = api.messages(of(run), offset=offset, limit=20, sort="TIMESTAMP_DESC")
        assert page == [f"{n}" for n in range(449 - offset, max(-1, 429 - offset), -1)]
    assert api.messages(of(run), limit=0) == []
    assert len(api.read(of(run))) == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/logs/", [{"name": "x", "level": 1, "message": "m"}]),
        ("POST", "/logs/", {"not": "a list"}),
        ("POST", "/logs/filter", {"limit": 201}),
        ("POST", "/logs/filter", {"limit": -1}),
        ("POST", "/logs/filter", {"offset": -1}),
        ("POST", "/logs/filter", {"sort": "NO_SUCH"}),
        ("POST", "/logs/filter", {"logs": {"unknown": {}}}),
        ("POST", "/logs/filter", {"logs": {"text": {"query": "x" * 201}}}),
        ("GET", "/flow_runs/not-an-id/logs/download", None),
        ("GET", f"/flow_runs/{uuid.UUID(int=7)}/logs/download", None),
        ("DELETE", f"/flow_runs/{uuid.UUID(int=7)}", None),
    ],
)
def test_what_prefect_refuses_is_refused_in_the_same_words(
    apis: dict[str, Api], method: str, path: str, body: Any
) -> None:
    answers = [api.client.request(method, path, json=body) for api in apis.values()]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].status_code in (404, 422)
    assert answers[0].json() == answers[1].json()


def test_a_download_has_every_line_in_order(api: Api) -> None:
    run = api.make_run()
    lines = [line(f'{n}, "quoted"', run["id"], timedelta(seconds=n)) for n in range(1203)]
    for first in range(0, len(lines), 400):
        api.send(lines[first : first + 400])
    answer = api.client.get(f"/flow_runs/{run['id']}/logs/download")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"{run['name']}-logs.csv" in answer.headers["content-disposition"]
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["timestamp", "level", "flow_run_id", "task_run_id", "message"]
    assert [row[4] for row in rows] == [one["message"] for one in lines]
    assert rows[0][:4] == ["2026-05-06 07:08:09.123456+00:00", "20", run["id"], ""]


def test_what_is_deleted_takes_its_lines_along(api: Api) -> None:
    first, second = api.make_run()["id"], api.make_run()["id"]
    task = api.make_task(first)
    api.send([line("kept", first), line("gone", first, task_run_id=task), line("bulk", second)])
    assert api.client.delete(f"/task_runs/{task}").status_code == 204
    eventually(lambda: api.messages(of(first)) == ["kept"], "the task's line to go", within=20)
    assert api.client.delete(f"/flow_runs/{first}").status_code == 204
    body = {"flow_runs": {"id": {"any_": [second]}}}
    assert api.client.post("/flow_runs/bulk_delete", json=body).json() == {"deleted": [second]}
    both = {"flow_run_id": {"any_": [first, second]}}
    eventually(lambda: api.read(both) == [], "the runs' lines to go", within=20)


async def test_ours_streams_new_lines_as_prefects_own_client_expects(ours: Api) -> None:
    run = uuid.uuid4()
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    async with PrefectLogsSubscriber(ours.url, wanted) as stream:
        first = asyncio.ensure_future(anext(aiter(stream)))
        # The server does not say when it has begun to listen, so lines are sent until one comes.
        for _ in range(40):
            # Prefect's client asks for lines of the last minute only.
            at = {"timestamp": datetime.now(UTC).isoformat()}
            sent = [line("elsewhere", str(uuid.uuid4())) | at, line("streamed", str(run)) | at]
            await asyncio.to_thread(ours.send, sent)
            if (await asyncio.wait({first}, timeout=0.5))[0]:
                break
        found = await asyncio.wait_for(first, 1)
    assert found.message == "streamed"
    assert str(found.id) in {one["id"] for one in ours.read(of(str(run)))}


def test_ours_keeps_lines_while_cassandra_is_away_and_no_client_notices(
    ours: Api, proxy: FaultProxy
) -> None:
    run = str(uuid.uuid4())
    ours.send([line("before", run)])
    proxy.stall()
    with ThreadPoolExecutor(1) as aside:
        try:
            answer = aside.submit(ours.client.post, "/logs/filter", json={"logs": of(run)})
            for number in range(3):
                ours.send([line(f"while away {number}", run, timedelta(seconds=1 + number))])
            assert ours.client.get("/health").json() is True
            assert answer.result().status_code == 503
        finally:
            proxy.cut()
            proxy.restore()

    def found() -> bool:
        answer = ours.client.post("/logs/filter", json={"logs": of(run)})
        return answer.status_code == 200 and len(answer.json()) == 4

    eventually(found, "the lines that waited", within=60)
    assert ours.part is not None
    said = ours.part.log.read_text()
    assert "does not take lines" in said
    assert "takes lines again" in said


QUESTIONS = 20


def a_question(chance: random.Random, runs: list[UUID], tasks: list[UUID], start: int) -> LogQuery:
    """Return some question; all stay within the three hours that the lines are in."""

    def some(values: list[UUID]) -> frozenset[UUID]:
        return frozenset(chance.sample(values, chance.randint(1, len(values))))

    low, high = sorted(chance.choices(range(start, start + 3 * HOUR), k=2))
    only = chance.random() < 0.5
    return LogQuery(
        times=Times(low, high) if chance.random() < 0.5 else Times(start, start + 3 * HOUR),
        runs=Runs(some(runs)) if only else None,
        tasks=Tasks(some(tasks)) if chance.random() < 0.4 else None,
        levels=Levels(20) if chance.random() < 0.3 else None,
        words=Words(include=("even",)) if chance.random() < 0.3 else None,
        descending=chance.random() < 0.5,
    )


async def test_ours_answers_whatever_is_asked_as_the_model_does(ground: Ground) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 -- a test
    print(f"seed {seed}")  # noqa: T201 -- to find a failure again
    chance = random.Random(seed)  # noqa: S311 -- a test
    store = CassandraLogs(shared_session(ground.role("prefect_state")), timedelta(days=1))
    # A day of its own: questions without a run see the lines of everybody.
    start = microseconds(datetime(1975, 1, 1, tzinfo=UTC)) + chance.randrange(9000) * 24 * HOUR
    runs, tasks = ([uuid.UUID(int=chance.getrandbits(128)) for _ in range(n)] for n in (6, 4))
    ids = LineIds()
    lines = [
        LogLine(
            id=ids.make(),
            # Few different times, so that many lines share one.
            at=start + chance.randrange(60) * (3 * HOUR // 60),
            level=chance.choice([10, 20, 30]),
            name="x",
            message=f"{'even' if number % 2 else 'odd'} {number}",
            flow_run_id=chance.choice([None, *runs]),
            task_run_id=chance.choice([None, *tasks]),
        )
        for number in range(300)
    ]
    await store.write(lines)
    await store.write(lines[::7])
    for _ in range(QUESTIONS):
        query = a_question(chance, runs, tasks, start)
        whole = page(lines, query)
        length = chance.randint(1, 120)
        offset = chance.randrange(len(whole) + 2)
        assert await store.read(query, offset, length) == page(lines, query, offset, length)
        # Turning pages, which goes on where the last one ended, meets every line once.
        turned: list[LogLine] = []
        while found := await store.read(query, len(turned), 100):
            turned += found
        assert turned == whole


def test_ours_leaves_nothing_in_the_metadata_database(ours: Api, stack: Stack) -> None:
    import sqlite3  # noqa: PLC0415

    assert ours.part is not None
    database = ours.part.log.parent.parent / "prefect" / "prefect.db"
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM log").fetchone() == (0,)
    assert stack


def test_the_logs_are_out_of_reach_for_flows(ground: Ground) -> None:
    session = shared_session(ground.role("flow"))
    for cql in (
        "SELECT * FROM prefect_state.run_logs LIMIT 1",
        "SELECT * FROM prefect_state.log_places LIMIT 1",
    ):
        with pytest.raises(PermissionDeniedError):
            session.execute(cql)


def test_every_row_expires(ground: Ground, ours: Api) -> None:
    run = str(uuid.uuid4())
    ours.send([line("a line", run, task_run_id=str(uuid.uuid4()))])
    session = shared_session(ground.role("prefect_state"))
    month = 30 * 86_400
    rows = session.execute(
        "SELECT TTL(message) AS m, TTL(task_run_id) AS t FROM prefect_state.run_logs"
        " WHERE flow_run_id = ? ALLOW FILTERING",
        [uuid.UUID(run)],
    ).rows
    assert [month - 600 < row["m"] <= month and row["t"] == row["m"] for row in rows] == [True]
    places = session.execute(
        "SELECT count(*) AS n FROM prefect_state.log_places WHERE shelf = ?", [f"run {run}"]
    ).one()
    assert places is not None
    assert places["n"] == 1


@pytest.fixture(scope="module")
def told(apis: dict[str, Api]) -> dict[str, dict[str, Any]]:
    """A run with 450 lines in each store, of which every tenth is a warning."""
    found = {}
    for name, api in apis.items():
        run = api.make_run()
        lines = [
            line(f"number {n}", run["id"], timedelta(milliseconds=n // 3), level=30 - n % 10)
            for n in range(450)
        ]
        api.send(lines)
        found[name] = run
    return found


@pytest.mark.parametrize("store", ["stock", "ours"])
@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], range(450)),
        (["--grep", r"number 4.$"], range(40, 50)),
        (["--level", "warning"], range(0, 450, 10)),
        (["--since", "3650d"], range(450)),
        (["--since", "1s"], []),
    ],
    ids=["all", "grep", "level", "since long ago", "since now"],
)
def test_the_command_shows_a_run(  # noqa: PLR0913, PLR0917 -- two of them are the ground
    apis: dict[str, Api],
    told: dict[str, dict[str, Any]],
    store: str,
    options: list[str],
    numbers: range,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["logs", told[store]["name"], "--url", apis[store].url, "--output", "json", *options]
    assert cli(words) == (0 if numbers else 1)
    shown = [json.loads(one)["message"] for one in capsys.readouterr().out.splitlines()]
    assert sorted(shown) == sorted(f"number {n}" for n in numbers)


def test_the_command_says_what_is_not_there(ours: Api, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["no-such-run"], "There is no run 'no-such-run'"),
        (["--flow", "no such flow"], "There is no run of a flow 'no such flow'"),
        ([], "Nothing says whose log is meant"),
        (["x", "--grep", "("], "no regular expression"),
    ):
        assert cli(["logs", *words, "--url", ours.url]) == 2
        assert said in capsys.readouterr().err
    assert cli(["logs", "x", "--url", "http://127.0.0.1:9/api"]) == 3
