from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra import errors
from prefect_cassandra.cli import app as cli
from prefect_cassandra.cli.app import run, take_verbose

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(sys.executable).with_name("prefect-cassandra")
HEAVY = {"prefect", "cassandra", "pyarrow", "numpy", "pydantic", "yaml"}


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make every command raise an error."""

    def prepare(error: BaseException) -> None:
        def command(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(cli, "app", command)

    return prepare


@pytest.mark.parametrize(
    ("tokens", "ours", "verbose"),
    [
        (["local", "up"], ["local", "up"], False),
        (["-v", "local", "up"], ["local", "up"], True),
        (["local", "up", "--verbose"], ["local", "up"], True),
        (["local", "cqlsh", "--", "-v"], ["local", "cqlsh", "--", "-v"], False),
        (["-v", "local", "cqlsh", "--", "-v"], ["local", "cqlsh", "--", "-v"], True),
        (["--"], ["--"], False),
        ([], [], False),
    ],
)
def test_take_verbose_leaves_what_follows_the_dashes(
    *, tokens: list[str], ours: list[str], verbose: bool
) -> None:
    assert take_verbose(tokens) == (ours, verbose)


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.ConfigurationError, 2),
        (errors.PortInUseError, 3),
        (errors.OutcomeUnknownError, 4),
        (errors.AuthenticationError, 5),
        (errors.PrefectCassandraError, 1),
    ],
)
def test_an_error_of_ours_is_shown_with_its_hint_and_decides_the_exit_code(
    kind: type[errors.PrefectCassandraError],
    exit_code: int,
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(kind("it broke [here]", hint="mend it"))
    assert run([]) == exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"Error {kind.code}: it broke [here]\n  -> mend it\n"


def test_a_traceback_is_shown_only_when_asked_for(
    raising: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    raising(errors.DataError("row 3"))
    run([])
    assert "Traceback" not in capsys.readouterr().err
    run(["-v"])
    assert "Traceback" in capsys.readouterr().err


def test_an_unforeseen_error_is_one_line_and_asks_to_be_reported(
    raising: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ZeroDivisionError("division by zero"))
    assert run([]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Unexpected error: ZeroDivisionError: division by zero\n")
    assert "report it" in err


def test_an_interrupt_ends_with_130(raising: Callable[[BaseException], None]) -> None:
    raising(KeyboardInterrupt())
    assert run(["local", "status"]) == 130


def test_a_missing_extra_is_named(
    raising: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ModuleNotFoundError("No module named 'psutil'", name="psutil"))
    assert run([]) == 2
    assert "pip install 'prefect-cassandra[local]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "tokens",
    [["nonsense"], ["local", "up", "--nodes", "2"], ["local", "up", "--cql-port", "x"]],
)
def test_wrong_input_ends_with_2_and_leaves_stdout_alone(
    tokens: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tokens) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert tokens[-1] in err


@pytest.mark.parametrize("tokens", [["--help"], ["local", "--help"], ["local", "up", "--help"]])
def test_help_imports_nothing_heavy(tokens: list[str]) -> None:
    code = (
        "import sys; from prefect_cassandra.cli.app import run;"
        "code = run(sys.argv[1:]); print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *tokens], capture_output=True, text=True, check=True
    )
    assert "Usage" in done.stdout
    assert not HEAVY & set(done.stderr.split())


def test_help_answers_in_under_a_second() -> None:
    """Counts the processor's time, all that passes on an idle machine: nothing in it waits."""

    def processor_seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    seconds = []
    for _ in range(2):
        before = processor_seconds()
        done = subprocess.run([PROGRAM, "local", "up", "--help"], capture_output=True, check=True)
        seconds.append(processor_seconds() - before)
        assert b"--nodes" in done.stdout
    assert min(seconds) < 1.0


def test_help_has_no_colours_when_they_are_not_wanted() -> None:
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(
        [PROGRAM, "local", "--help"], capture_output=True, check=True, env=environment
    )
    assert b"\x1b[" not in done.stdout


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()
