"""What `load` and `unload` understand, refuse and show, without a database."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from prefect_cassandra.cli import progress
from prefect_cassandra.cli.app import run
from prefect_cassandra.cli.load import Reading, pairs, show
from prefect_cassandra.cli.progress import Following, run_followed
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.report import UnloadReport
from prefect_cassandra.writes.report import LoadReport, Reject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REJECTS = tuple(Reject(number, "n", "no number", "a.csv") for number in range(12))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--map", "a"], "--map a has no '='"),
        (["--delimiter", "::"], "not one ASCII character"),
        (["--reject-file", "r.csv", "--on-error", "fail"], "of no use"),
        (["--reject-file", "r.txt"], "does not tell its format"),
        (["--block", "b", "--contact-points", "h"], "name two databases"),
    ],
)
def test_contradictions_are_refused_before_anything_is_connected(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", "a.csv", "ks.t", *words]) == 2
    assert said in capsys.readouterr().err


def test_without_a_stack_and_without_an_address_there_is_no_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["load", "a.csv", "ks.t"], ["unload", "ks.t", "out"]):
        assert run([*words, "--data", str(tmp_path)]) != 0
        assert "Error PC" in capsys.readouterr().err


def test_options_become_files() -> None:
    reading = Reading(
        null=("NA", ""), columns="p,n", rename=("a=b=c",), skip=("z",), storage_option=("k=v",)
    )
    files = reading.files("x.csv")
    assert (files.null_marks, files.names, files.skip) == (("NA", ""), ["p", "n"], ("z",))
    assert (files.rename, files.storage_options) == ({"a": "b=c"}, {"k": "v"})


def test_pairs_need_an_equals_sign() -> None:
    assert pairs(("a=1", "b="), "--x") == {"a": "1", "b": ""}
    with pytest.raises(ConfigurationError, match="--x a has no '='"):
        pairs(("a",), "--x")


def test_rejects_are_named_up_to_ten(capsys: pytest.CaptureFixture[str]) -> None:
    report = LoadReport("ks.t", rows=5, rejected=12, rejects=REJECTS, seconds=1.0)
    show(report, "text", dry_run=False, reject_file="r.csv")
    out, err = capsys.readouterr()
    assert out.startswith("ks.t: 5 rows")
    assert "Rejected a.csv, row 9, column n: no number" in err
    assert "row 10" not in err
    assert "and 2 more rows" in err
    assert "All of them are in r.csv" in err


def test_programs_get_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    show(LoadReport("ks.t", rejects=REJECTS[:1]), "json", dry_run=True, reject_file=None)
    found = json.loads(capsys.readouterr().out)
    assert found["table"] == "ks.t"
    assert found["rejects"] == [{"row": 0, "column": "n", "reason": "no number", "file": "a.csv"}]


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    text = io.StringIO()
    with Following(Console(file=text)) as following:
        for rows in (1, 2, 3):
            following(LoadReport("ks.t", rows=rows, seconds=1.0))
    assert text.getvalue() == "ks.t: 2 rows in 1.0 s (2/s, 0 requests), going on\n"


def test_a_terminal_gets_a_moving_line() -> None:
    text = io.StringIO()
    with Following(Console(file=text, force_terminal=True, width=100)) as following:
        following(UnloadReport("ks.t", "out", rows=1_234, files=1, splits=4, seconds=1.0))
        assert following._progress is not None
        following._progress.refresh()
    assert "ks.t" in text.getvalue()
    assert "1,234 rows" in text.getvalue()
    assert "1,234/s" in text.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_the_work_to_stop_and_waits_for_its_report(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM)
    started = threading.Event()

    def work(_tell: Callable[[Any], None], cancelled: threading.Event) -> LoadReport:
        started.set()
        assert cancelled.wait(30)
        return LoadReport("ks.t", rows=7, cancelled=True)

    def interrupt() -> None:
        started.wait(30)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    assert run_followed(work) == LoadReport("ks.t", rows=7, cancelled=True)
    assert signal.getsignal(signal.SIGTERM) == before
