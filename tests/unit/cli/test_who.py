from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prefect_cassandra.cli.who import check, pairs, time_of
from prefect_cassandra.cli.who_output import show_row, show_works
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.blocks import moment
from prefect_cassandra.trail.report import CellTrail, Deletion, RowTrail, Work, Writer
from prefect_cassandra.trail.verdict import Proof
from support.stamps import NOON

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
WRITER: dict[str, Any] = {
    "kind": "LOAD",
    "load_key": "a key",
    "run": "run-1",
    "task": "task-1",
    "attempt": 2,
    "person": "someone",
    "deployment": "d-1",
    "version": "v7-abc",
    "image": "registry/flows@sha256:feed",
    "source": "[s3]://bucket",
    "chunk": 3,
    "first_row": 75_000,
    "rows": 25_000,
}


def cell(column: str, text: str | None, writer: Writer | None, **more: Any) -> CellTrail:
    stamp = None if writer is None else NOON
    at = None if writer is None else moment(NOON)
    about = {"static": False, "elements": (), "expires_in": None} | more
    return CellTrail(
        column=column, value=text, text=text, stamp=stamp, at=at, writer=writer, **about
    )


FOUND = RowTrail(
    "flights.t",
    {"origin": "JFK"},
    found=True,
    cells=(
        cell("delay", "1.5", Writer(proof=Proof.PROVEN, why="it is in the filter", **WRITER)),
        cell("gate", "B[2]", Writer(proof=Proof.BY_STAMP, why="no filter", **WRITER), static=True),
        cell("seats", '["a","b"]', Writer(proof=Proof.NOT_OURS, why="no block"), elements=("a",)),
        cell("tail", None, None),
        cell("gone", "x", Writer(proof=Proof.NOT_OURS, why="no block"), expires_in=3_600),
    ),
    deletions=(
        Deletion(
            *(NOON, moment(NOON), "CELLS", ("gone", "tail"), "DELETE gone, tail FROM t", "{}"),
            Writer(proof=Proof.PROVEN, why="on record", **(WRITER | {"run": "run-2"})),
        ),
    ),
)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-07-01T00:00:00Z", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T02:00:00+02:00", datetime(2026, 7, 1, tzinfo=UTC)),
    ],
)
def test_times_and_times_ago_are_read(text: str, time: datetime) -> None:
    assert time_of(text, NOW) == time


@pytest.mark.parametrize("text", ["", "7", "7w", "yesterday", "2026-07-01", "-7d", "999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no time with a zone|before all time"):
        time_of(text, NOW)


def test_the_key_of_a_row_is_read() -> None:
    assert pairs(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize(("words", "message"), [(["a"], "has no '='"), (["a=1", "a=2"], "twice")])
def test_words_that_are_no_key_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        pairs(words)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "Neither a row nor a run nor a person"),
        ({"run": "r", "person": "p"}, "two questions"),
        ({"run": "r", "since": "7d"}, "--since goes with --person"),
        ({"table": "t", "since": "7d"}, "--since goes with --person"),
        ({"table": "t", "key": ["a=1"], "run": "r"}, "--run and the key of a row"),
    ],
)
def test_a_command_line_asks_one_question(asked: dict[str, Any], message: str) -> None:
    words: dict[str, Any] = {"table": None, "key": [], "run": None, "person": None, "since": None}
    words |= asked
    table, key = words.pop("table"), words.pop("key")
    with pytest.raises(ConfigurationError, match=message):
        check(table, key, **words)


def test_a_row_is_shown_with_each_writer_once(capsys: pytest.CaptureFixture[str]) -> None:
    show_row(FOUND, "table")
    shown = capsys.readouterr().out
    assert "flights.t, origin = JFK" in shown
    for text in ("proven", "by stamp", "not ours", "gate (static)", "B[2]", "seats a", "null"):
        assert text in shown
    assert "expires in 3,600 s" in shown
    assert shown.count("run-1") == shown.count("run-2") == 1
    assert "deleted 2027-01-15 08:00:00.000000 by 2: gone, tail (DELETE gone" in shown
    assert "3, rows 75,000 to 99,999 of the input" in shown
    assert "[s3]://bucket" in shown


def test_a_row_as_json_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    show_row(FOUND, "json")
    found = json.loads(capsys.readouterr().out)
    assert found["key"] == {"origin": "JFK"}
    first, _, third, null, _ = found["cells"]
    assert (first["value"], first["stamp"], first["at"][:10]) == ("1.5", NOON, "2027-01-15")
    assert first["writer"] == {"proof": "proven", "why": "it is in the filter", **BLANK, **WRITER}
    assert (third["elements"], third["writer"]["proof"]) == (["a"], "not ours")
    (deletion,) = found["deletions"]
    assert (deletion["what"], deletion["writer"]["run"]) == ("CELLS", "run-2")
    assert (null["value"], null["stamp"], null["writer"]) == (None, None, None)


BLANK = {"commit": "", "block": None}


def work(**more: Any) -> Work:
    about = {name: value for name, value in WRITER.items() if name not in ("chunk", "first_row")}
    about |= {"table": "flights.t", "generation": 1, "state": "DONE", "at": NOW, "chunks": 4}
    return Work(**(about | {"block": NOON, "commit": ""} | more))


def test_what_was_written_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    show_works([work(), work(table="flights.u", state="OPEN", rows=1)], "table")
    shown = capsys.readouterr().out
    assert "25,001 rows in 2 tables" in shown
    assert "open" in shown
    show_works([work()], "json")
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["table"], one["rows"], one["at"]) == ("flights.t", 25_000, NOW.isoformat())
    show_works([], "table")
    assert "Nothing" in capsys.readouterr().out
