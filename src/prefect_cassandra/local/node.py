"""One Cassandra node as a process."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import LocalStackError
from prefect_cassandra.local.config import (
    cassandra_yaml,
    logback_xml,
    rackdc_properties,
    tools_logback_xml,
)
from prefect_cassandra.local.java import child_environment
from prefect_cassandra.local.jndi import jndi_shim
from prefect_cassandra.local.jvm import nodetool_command, server_command
from prefect_cassandra.local.probe import answers_cql

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from prefect_cassandra.local.config import NodeSpec
    from prefect_cassandra.local.jvm import Runtime

# Every process of a stack carries this, with the stack's data folder as its value: whoever looks for
# what a killed parent left behind finds it by this variable, whatever its name and parent are.
STACK_VARIABLE = "PREFECT_CASSANDRA_STACK"

_POLL = 0.05
_LOG_TAIL = 12
_NODETOOL_TIMEOUT = 300.0


class Node:
    """Starts, watches and stops one node.

    Args:
        spec: The node.
        runtime: Java and jars.
        class_data: Flags for class-data sharing, see `ClassData`.
        tls: Context for the readiness probe when the node's CQL port is encrypted.
    """

    def __init__(
        self,
        spec: NodeSpec,
        runtime: Runtime,
        *,
        class_data: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.spec = spec
        self._runtime = runtime
        self._class_data = list(class_data)
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return the loopback address the node listens on."""
        return self.spec.address

    @property
    def pid(self) -> int | None:
        """Return the process id, None before the start and after the end."""
        return self._process.pid if self._process and self.is_running() else None

    def is_running(self) -> bool:
        """Tell whether the process is there; it may not answer yet."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Write the configuration and start the process; returns at once.

        The process gets a session of its own, so that Ctrl-C in a terminal reaches only us and we
        decide the order in which things stop.
        """
        self._write_files()
        log = self.spec.folder / "log" / "stdout.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                server_command(self.spec, self._runtime, self._class_data),
                cwd=self.spec.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, timeout: float) -> None:
        """Wait until the node answers CQL.

        Args:
            timeout: Seconds.

        Raises:
            LocalStackError: The process ended, or the time ran out; quotes the log.
        """
        deadline = time.monotonic() + timeout
        while not self.answers():
            if not self.is_running():
                raise self._failure(f"ended with exit code {self._exit_code()}")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer CQL within {timeout:.0f} s")
            time.sleep(_POLL)

    def answers(self) -> bool:
        """Tell whether the node answers CQL now."""
        return answers_cql(self.spec.address, self.spec.cql_port, tls=self._tls)

    def request_stop(self) -> None:
        """Ask the node to drain and end, without waiting; its own SIGTERM hook drains."""
        if self._process and self.is_running():
            self._process.send_signal(signal.SIGTERM)

    def stop(self, timeout: float = 60.0) -> bool:
        """Drain and end the node; kill it when that takes longer than `timeout` seconds.

        Returns:
            Whether it ended by itself.
        """
        if not self._process:
            return True
        self.request_stop()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End the node at once, as a crash would."""
        if self._process and self.is_running():
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP, which makes a node that holds its sockets open and is deaf."""
        if self._process and self.is_running():
            self._process.send_signal(number)

    def nodetool(
        self, *arguments: str, timeout: float = _NODETOOL_TIMEOUT, capture: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run Cassandra's `nodetool` against the node.

        Args:
            arguments: What follows `nodetool` on a command line.
            timeout: Seconds.
            capture: Keep the output in the result; otherwise it goes where ours goes.
        """
        self._write_files(tmp=False)
        command = nodetool_command(
            self.spec,
            self._runtime,
            arguments,
            class_data=[flag for flag in self._class_data if "SharedArchiveFile" in flag],
            shim=jndi_shim(self._runtime),
        )
        return subprocess.run(
            command,
            check=False,
            capture_output=capture,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
        )

    def log_tail(self) -> str:
        """Return the last lines that matter: of the server's log, else of what the JVM printed."""
        folder = self.spec.folder / "log"
        log = _read(folder / "system.log")
        lines = _errors(log) or _read(folder / "stdout.log").splitlines() or log.splitlines()
        return "\n".join(lines[-_LOG_TAIL:])

    def _environment(self) -> dict[str, str]:
        return {**child_environment(), STACK_VARIABLE: str(self.spec.stack)}

    def _write_files(self, *, tmp: bool = True) -> None:
        folder = self.spec.folder
        if tmp:
            # Unpacked native libraries of a node that was killed.
            shutil.rmtree(folder / "tmp", ignore_errors=True)
        for name in ("conf", "data", "log", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        files = {
            "cassandra.yaml": cassandra_yaml(self.spec),
            "cassandra-rackdc.properties": rackdc_properties(self.spec),
            "logback.xml": logback_xml(self.spec),
            "logback-tools.xml": tools_logback_xml(),
        }
        for name, text in files.items():
            (folder / "conf" / name).write_text(text, encoding="utf-8")

    def _exit_code(self) -> Any:
        return self._process.returncode if self._process else None

    def _failure(self, what: str) -> LocalStackError:
        tail = self.log_tail()
        return LocalStackError(
            f"Cassandra's {self.spec.name} on {self.address}:{self.spec.cql_port} {what}."
            + (f" Its log says:\n{tail}" if tail else ""),
            hint=f"The whole log is in {self.spec.folder / 'log'}.",
        )


def _read(path: Any) -> str:
    try:
        return str(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def _errors(log: str) -> list[str]:
    """Keep the ERROR entries of a log, each with its first line and the causes under it."""
    kept, keeping = [], False
    for line in log.splitlines():
        if re.match(r"[A-Z]{4,5} +\[", line):
            keeping = line.startswith("ERROR")
            if keeping:
                kept.append(line)
        elif keeping and (line.startswith("Caused by") or not line.startswith(("\t", " "))):
            kept.append(line)
    return kept
