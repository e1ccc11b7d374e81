"""Reaches a Service from this machine for as long as a block lasts."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from typing import IO, TYPE_CHECKING

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.tools import find
from prefect_cassandra.project.environment import LOOPBACK

if TYPE_CHECKING:
    from prefect_cassandra.kube.kubectl import Release

_START_TIMEOUT = 30.0
_PAUSE = 0.05
_MOST = 65536
_READY = re.compile(rf"^Forwarding from {re.escape(LOOPBACK)}:(\d+) ", re.MULTILINE)


class Forward:
    """One `kubectl port-forward`; opened anew, on another port, when the pod behind it went away.

    Args:
        release: Whose namespace and cluster the Service is in.
        service: Its name.
        port: Port of the Service.
    """

    def __init__(self, release: Release, service: str, port: int) -> None:
        target = f"service/{service}"
        # No local port: kubectl takes a free one and says which, so nobody can take it in between.
        ports = ["port-forward", "--address", LOOPBACK, target, f":{port}"]
        self._command = release.kubectl(*ports)
        self._target = target
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """Return the local port.

        Raises:
            ToolError: kubectl cannot forward.
        """
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._open()
        return self._port

    def close(self) -> None:
        """End it; safe to repeat."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._output is not None:
            self._output.close()
            self._output = None

    def _open(self) -> None:
        # A file, not a pipe: kubectl writes a line for each connection, and nobody reads them.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        command = [find(self._command[0]), *self._command[1:]]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            ended = self._process.poll() is not None
            said = self._said()
            found = local_port(said)
            if found is not None and not ended:
                self._port = found
                return
            if ended or time.monotonic() > deadline:
                self.close()
                raise ToolError(f"kubectl cannot forward a port to {self._target}: {said.strip()}")
            time.sleep(_PAUSE)

    def _said(self) -> str:
        if self._output is None:
            return ""
        # Not `seek`: the child writes at the offset that it shares with this file.
        return os.pread(self._output.fileno(), _MOST, 0).decode(errors="replace")


def local_port(said: str) -> int | None:
    """Return the local port that kubectl chose, None while it has not said so."""
    found = _READY.search(said)
    return int(found.group(1)) if found else None
