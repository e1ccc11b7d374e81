from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.local.state import Identity, PartRecord, Phase, StackState, write_state
from prefect_cassandra.local.status import PartStatus, Verdict, judge, read_status

if TYPE_CHECKING:
    from pathlib import Path

STATE = StackState(cassandra="5.0.9", nodes=1, tls=False, prefect=True, ports={"cql": 9042})
ALIVE = PartStatus("server", 1, 0.0, "", "", 1, alive=True)
GONE = replace(ALIVE, alive=False)


@pytest.mark.parametrize(
    ("phase", "parts", "supervised", "others", "verdict"),
    [
        ("running", [ALIVE, ALIVE], True, 0, "running"),
        ("running", [ALIVE, ALIVE], True, 2, "running"),
        ("running", [ALIVE, GONE], True, 0, "broken"),
        ("running", [], True, 0, "broken"),
        ("starting", [ALIVE], True, 0, "starting"),
        ("stopping", [GONE], True, 0, "stopping"),
        ("stopped", [], False, 0, "stopped"),
        ("stopped", [], False, 1, "broken"),
        ("running", [ALIVE, ALIVE], False, 0, "broken"),
        ("running", [GONE, GONE], False, 0, "stopped"),
        ("running", [GONE, GONE], False, 1, "broken"),
    ],
)
def test_judge(
    *, phase: Phase, parts: list[PartStatus], supervised: bool, others: int, verdict: Verdict
) -> None:
    state = replace(STATE, phase=phase)
    assert judge(state, parts, supervised=supervised, others=others) == verdict


def test_status_of_an_empty_or_missing_folder_is_stopped(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        status = read_status(folder)
        assert (status.verdict, status.exit_code, status.parts) == ("stopped", 1, [])


def test_status_tells_living_parts_from_those_that_are_gone(tmp_path: Path) -> None:
    own = Identity.of(os.getpid())
    assert own is not None
    parts = [
        PartRecord("server", own, "http://127.0.0.1:4200", "/log"),
        PartRecord("worker", replace(own, started=own.started - 3600), "", "/log"),
    ]
    write_state(tmp_path, replace(STATE, phase="running", supervisor=own, parts=parts))
    status = read_status(tmp_path)
    assert (status.verdict, status.exit_code, status.supervisor) == ("broken", 1, os.getpid())
    server, worker = status.parts
    assert server.alive
    assert server.memory > 1024 * 1024
    assert (worker.alive, worker.memory) == (False, 0)
