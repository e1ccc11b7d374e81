from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ConfigurationError, PlatformTimeoutError, ToolError
from prefect_cassandra.kube import tools
from prefect_cassandra.kube.forward import Forward
from prefect_cassandra.kube.kubectl import Release, read, secret_data
from prefect_cassandra.kube.server import Server

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = sys.executable
RELEASE = Release("pc", "prefect")
# Stands in for kubectl: answers from files, and forwards nowhere but says so.
KUBECTL = """#!{python} -u
import pathlib, sys, time
here = pathlib.Path(__file__).parent
words = [word for word in sys.argv[1:] if not word.startswith("-")]
(here / "asked").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if "port-forward" in words:
    if (here / "refuses").exists():
        sys.exit("error: services \\"pc-server\\" not found")
    print("Forwarding from 127.0.0.1:40404 -> 4200")
    time.sleep(60)
elif (here / "answer.json").exists():
    print((here / "answer.json").read_text())
else:
    sys.exit("Error from server (NotFound): secrets \\"x\\" not found")
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.format(python=PYTHON))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def test_a_missing_tool_is_named_with_its_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match="helm, which installs the chart, is not on the"):
        tools.require("helm")


def test_what_a_failed_command_said_is_quoted() -> None:
    with pytest.raises(ToolError, match=r"exit code 3:\nout\nit broke"):
        tools.run(
            [
                PYTHON,
                "-c",
                "import sys; print('out'); print('it broke', file=sys.stderr); sys.exit(3)",
            ]
        )


def test_input_reaches_the_command() -> None:
    assert tools.run([PYTHON, "-c", "print(input()[::-1])"], stdin="abc\n") == "cba\n"


def test_a_command_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_TICK", 0.05)
    ticks: list[int] = []
    with pytest.raises(PlatformTimeoutError, match="did not end within 0 s"):
        tools.run(
            [PYTHON, "-c", "import sys; sys.stdin.read(); import time; time.sleep(60)"],
            stdin="x",
            timeout=0.3,
            tick=lambda: ticks.append(1),
        )
    assert ticks


def test_an_interrupt_between_two_ticks_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_TICK", 0.05)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tools.run([PYTHON, "-c", "import time; time.sleep(60)"], tick=interrupt)


def test_a_secret_is_decoded(kubectl: Path) -> None:
    (kubectl / "answer.json").write_text('{"data": {"auth-string": "YWRtaW46cHc="}}')
    assert secret_data(RELEASE, "pc-server-auth") == {"auth-string": "admin:pw"}
    assert "get secret pc-server-auth --output json" in (kubectl / "asked").read_text()


def test_an_object_that_is_not_there_is_none_and_a_secret_says_what_to_check(kubectl: Path) -> None:
    assert read(RELEASE, "secret", "x") is None
    with pytest.raises(ToolError, match="no Secret pc-server-auth") as caught:
        secret_data(RELEASE, "pc-server-auth")
    assert "helm list" in caught.value.hint
    assert kubectl.exists()


@pytest.mark.usefixtures("kubectl")
def test_a_forward_ends_with_its_block() -> None:
    with closing(Forward(RELEASE, "pc-server", 4200)) as forward:
        assert forward.port == 40404
        assert Server(forward, "a:b").api_url == "http://127.0.0.1:40404/api"
        process = forward._process
        assert process is not None
        assert process.poll() is None
    assert process.poll() is not None


@pytest.mark.usefixtures("kubectl")
def test_a_forward_that_broke_is_opened_again() -> None:
    with closing(Forward(RELEASE, "pc-server", 4200)) as forward:
        assert forward.port == 40404
        first = forward._process
        assert first is not None
        first.kill()
        first.wait()
        assert forward.port == 40404
        assert forward._process is not first


def test_a_forward_that_is_refused_says_why(kubectl: Path) -> None:
    (kubectl / "refuses").touch()
    with (
        closing(Forward(RELEASE, "pc-server", 4200)) as forward,
        pytest.raises(ToolError, match="not found"),
    ):
        _ = forward.port
