from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running

from prefect_cassandra.cli.undo_output import confirmed, show_undone, warn_of_open
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.overview import OpenBlock
from prefect_cassandra.tasks.run_fates import RunFates, fate_of
from prefect_cassandra.writes.undo_report import UndoReport

BLIND = UndoReport("ks.t", "a load", 1, "LOAD", 3, 0, 20, 5, dry_run=True)
IMAGED = UndoReport("ks.t", "a load", 1, "LOAD", 3, 3, 20, 0, 7)


def test_counts_are_shown_and_what_is_lost_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show_undone([BLIND], "table")
    shown = capsys.readouterr().out
    assert "0 of 3 chunks" in shown
    assert "what 'a load' overwrote was not kept" in shown
    assert "Nothing was done yet." in shown
    show_undone([IMAGED], "table")
    shown = capsys.readouterr().out
    assert "overwrote" not in shown
    assert "Nothing was done" not in shown


def test_older_loads_under_way_are_named_beside_the_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    blocks = [OpenBlock(number, f"load {number}", 1, "", "", when) for number in range(3)]
    warn_of_open({"ks.t": blocks})
    said = capsys.readouterr()
    assert "the load 'load 0' of run unknown and 2 more loads began before" in said.err
    assert said.out == ""


def test_json_has_every_count(capsys: pytest.CaptureFixture[str]) -> None:
    show_undone([IMAGED], "json")
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["rows_removed"], found["cells_restored"], found["imaged_chunks"]) == (20, 7, 3)


def test_without_a_terminal_nothing_is_undone_that_was_not_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="there is no terminal to ask on"):
        confirmed([BLIND])


def test_a_run_is_dead_when_it_ended_without_completing() -> None:
    assert fate_of(None) == fate_of(Pending()) == fate_of(Running()) == "alive"
    assert fate_of(Failed()) == fate_of(Crashed()) == fate_of(Cancelled()) == "dead"
    assert fate_of(Completed()) == "completed"


def test_a_run_that_is_named_dead_is_not_asked_for_and_no_identifier_is_unknown() -> None:
    fates = RunFates(["gone"])
    assert fates("gone") == "dead"
    assert fates("no identifier") == "unknown"
