from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import LocalStackError
from prefect_cassandra.local.parts import Child, crash, describe_exit, log_tail, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OBEDIENT = "print('here', flush=True); import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    started: list[Child] = []

    def start(code: str) -> Child:
        command = [sys.executable, "-c", code]
        one = Child("part", command, {"PATH": os.environ["PATH"]}, tmp_path / "logs" / "part.log")
        one.start()
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()
        one.stop(5)


def wait_until_here(part: Child) -> None:
    wait_for(lambda: "here" in part.log_tail(), part, 10, what="say so", aborted=lambda: False)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "ended by itself with exit code 0"),
        (3, "ended by itself with exit code 3"),
        (-9, "was ended by SIGKILL"),
        (-99, "was ended by signal 99"),
    ],
)
def test_describe_exit_says_who_ended_it(code: int, text: str) -> None:
    assert describe_exit(code) == text


def test_log_tail_is_the_end_of_a_long_log_and_empty_without_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""
    log.write_text("".join(f"line {number} {'x' * 80}\n" for number in range(10_000)))
    lines = log_tail(log, 3).splitlines()
    assert [line.split()[1] for line in lines] == ["9997", "9998", "9999"]


def test_child_stops_on_request(child: Callable[[str], Child]) -> None:
    part = child(OBEDIENT)
    wait_until_here(part)
    assert part.ended() == ""
    part.stop(10)
    assert part.ended() == "was ended by SIGTERM"


def test_child_that_ignores_the_request_is_killed(child: Callable[[str], Child]) -> None:
    part = child(STUBBORN)
    wait_until_here(part)
    part.stop(0.1)
    assert part.ended() == "was ended by SIGKILL"


def test_child_does_not_hear_what_a_terminal_sends_to_us(child: Callable[[str], Child]) -> None:
    part = child(OBEDIENT)
    assert part.pid is not None
    assert os.getpgid(part.pid) != os.getpgid(0)
    assert os.getsid(part.pid) == part.pid


def test_wait_for_names_a_part_that_ended_and_quotes_its_log(
    child: Callable[[str], Child],
) -> None:
    part = child("print('[red]no such table'); raise SystemExit(4)")
    with pytest.raises(LocalStackError, match="exit code 4") as caught:
        wait_for(lambda: False, part, 10, what="answer", aborted=lambda: False)
    assert "[red]no such table" in caught.value.message
    assert str(part.log) in caught.value.hint


def test_wait_for_says_what_it_waited_for_when_time_runs_out(
    child: Callable[[str], Child],
) -> None:
    part = child(OBEDIENT)
    with pytest.raises(LocalStackError, match=r"part did not answer on port 1 within 0 s"):
        wait_for(lambda: False, part, 0.01, what="answer on port 1", aborted=lambda: False)


def test_wait_for_ends_when_the_start_is_called_off(child: Callable[[str], Child]) -> None:
    part = child(OBEDIENT)
    with pytest.raises(LocalStackError, match="called off"):
        wait_for(lambda: False, part, 60, what="answer", aborted=lambda: True)


def test_crash_of_a_silent_part_says_so(child: Callable[[str], Child]) -> None:
    part = child("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(LocalStackError):
        wait_for(lambda: False, part, 10, what="end", aborted=lambda: False)
    assert crash(part).message == "part was ended by SIGKILL and wrote no log."


def test_stop_signal_can_be_chosen(tmp_path: Path) -> None:
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); {OBEDIENT}"
    part = Child(
        "part", [sys.executable, "-c", code], {}, tmp_path / "log", stop_signal=signal.SIGINT
    )
    part.start()
    wait_until_here(part)
    part.stop(10)
    assert part.ended() == "was ended by SIGINT"
