"""One Cassandra node as a process."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from prefect_cassandra.errors import LocalStackError, PortInUseError
from prefect_cassandra.local.config import (
    cassandra_yaml,
    logback_xml,
    rackdc_properties,
    tools_logback_xml,
)
from prefect_cassandra.local.java import child_environment
from prefect_cassandra.local.jndi import jndi_shim
from prefect_cassandra.local.jvm import nodetool_command, server_command
from prefect_cassandra.local.parts import describe_exit
from prefect_cassandra.local.probe import answers_cql, is_taken

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from prefect_cassandra.local.config import NodeSpec
    from prefect_cassandra.local.jvm import Runtime

# Every process of a stack carries this, with the stack's data folder as its value: whoever looks
# for what a killed parent left behind finds it by this, whatever its name and parent are.
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
        self._log_start = 0

    @property
    def name(self) -> str:
        """Return `node1` to `node3`."""
        return self.spec.name

    @property
    def address(self) -> str:
        """Return where the node answers CQL, as `127.0.0.1:9042`."""
        return f"{self.spec.address}:{self.spec.cql_port}"

    @property
    def log(self) -> Path:
        """Return the server's log; what the JVM itself prints is in `stdout.log` beside it."""
        return self.spec.folder / "log" / "system.log"

    @property
    def pid(self) -> int | None:
        """Return the process id, None before the start."""
        return self._process.pid if self._process else None

    def ended(self) -> str:
        """Say how the node ended; empty while it runs and before it was started."""
        code = self.poll()
        return "" if code is None else describe_exit(code)

    def poll(self) -> int | None:
        """Return the exit code, None while the node runs or when it was never started."""
        return self._process.poll() if self._process else None

    def has_data(self) -> bool:
        """Tell whether the node was started before."""
        return (self.spec.folder / "data" / "data" / "system").is_dir()

    def is_running(self) -> bool:
        """Tell whether the process is there; it may not answer yet."""
        return self._process is not None and self._process.poll() is None

    def start(self, also: Sequence[str] = ()) -> None:
        """Write the configuration and start the process; returns at once.

        The process gets a session of its own, so that Ctrl-C in a terminal reaches only us and we
        decide the order in which things stop.

        Args:
            also: Further flags for the JVM, for this start only.

        Raises:
            PortInUseError: Something answers at the node's address already.
        """
        if is_taken(self.spec.address, self.spec.cql_port):
            # Otherwise a stranger's Cassandra would be taken for ours and called ready.
            raise PortInUseError(
                f"{self.address} is needed for {self.name} and in use by another process.",
                hint="End that process, or choose another port with --cql-port.",
            )
        self._write_files()
        self._log_start = self.log.stat().st_size if self.log.is_file() else 0
        with self.log.with_name("stdout.log").open("wb") as output:
            self._process = subprocess.Popen(
                server_command(self.spec, self._runtime, [*self._class_data, *also]),
                cwd=self.spec.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, timeout: float, *, aborted: Callable[[], bool] = lambda: False) -> None:
        """Wait until the node answers CQL.

        Args:
            timeout: Seconds.
            aborted: Asked again and again; true ends the wait.

        Raises:
            LocalStackError: The process ended, or the time ran out; quotes the log.
        """
        deadline = time.monotonic() + timeout
        while not self.answers():
            if not self.is_running():
                raise self._failure(self.ended())
            if aborted():
                raise LocalStackError(f"The start of {self.name} was called off.")
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
        """Send a signal, such as SIGSTOP, which leaves a node deaf with its sockets open."""
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
        command = nodetool_command(
            self.spec,
            self._runtime,
            arguments,
            class_data=self._class_data,
            shim=jndi_shim(self._runtime),
        )
        return subprocess.run(
            command,
            check=False,
            capture_output=capture,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=self.environment(),
        )

    def log_tail(self) -> str:
        """Return the last lines that matter: of the server's log, else of what the JVM printed."""
        log = _read(self.log, self._log_start)
        printed = _read(self.log.with_name("stdout.log"))
        lines = _errors(log) or printed.splitlines() or log.splitlines()
        return "\n".join(lines[-_LOG_TAIL:])

    def environment(self) -> dict[str, str]:
        """Return the environment of the node and of its tools, with the mark of their stack."""
        return {**child_environment(), STACK_VARIABLE: str(self.spec.stack)}

    def _write_files(self) -> None:
        folder = self.spec.folder
        # Native libraries that a killed node had unpacked there.
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

    def _failure(self, what: str) -> LocalStackError:
        tail = self.log_tail()
        return LocalStackError(
            f"Cassandra's {self.name} on {self.address} {what}."
            + (f" Its log says:\n{tail}" if tail else ""),
            hint=f"The whole log is in {self.log.parent}.",
        )


def _read(path: Path, start: int = 0) -> str:
    """Read a log from `start`, or from its beginning when it was rolled since."""
    try:
        with path.open("rb") as file:
            file.seek(start if start <= path.stat().st_size else 0)
            return file.read().decode("utf-8", errors="replace")
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
