"""The parent's half of a flow's pod: cancels, hands back when evicted, and tells of crashes.

All of that is Prefect's; here the process it starts is replaced by one that is there already.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import anyio
from prefect.runner._process_manager import ProcessHandle, create_isolated_termination_scope
from prefect.runner._workspace_hook_runner import WorkspaceHookRunner

from prefect_cassandra.kube.flow_child import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import Process, TaskStatus
    from prefect.client.schemas.objects import FlowRun
    from prefect.runner._control_channel import ControlChannel


class Child:
    """A forked process that waits for leave to go on.

    Args:
        pid: Of the process, which leads a group of its own.
        gate: File descriptor that it reads the leave from.
    """

    def __init__(self, pid: int, gate: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._gate = os.fdopen(gate, "wb")
        self._ended = threading.Event()
        # At once and whoever waits: one that ended and was not waited for looks alive to signals.
        threading.Thread(target=self._reap, name="reap-flow", daemon=True).start()

    def _reap(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()

    def go(self, variables: dict[str, str]) -> None:
        """Let it run the flow, with variables added to its environment."""
        # It may have ended: its exit code tells why.
        with suppress(BrokenPipeError), self._gate:
            self._gate.write(json.dumps(variables).encode())

    def dismiss(self) -> None:
        """Close the gate; it ends unless it was let through."""
        with suppress(BrokenPipeError):
            self._gate.close()

    async def wait(self) -> None:
        """Return when it has ended."""
        await anyio.to_thread.run_sync(self._ended.wait, abandon_on_cancel=True)


class ForkedStarter:
    """Starts the engine of a run: a `ProcessStarter` of Prefect's.

    Args:
        child: The process that becomes the engine.
        folder: Where Prefect's start keeps its files.
        control_channel: By which Prefect tells the engine why a signal comes.
    """

    def __init__(self, child: Child, folder: Path, control_channel: ControlChannel) -> None:
        self._child = child
        self._control_channel = control_channel
        manifest = folder / MANIFEST
        self.hook_runner = WorkspaceHookRunner(manifest_path=manifest, stream_output=True)

    def close(self) -> None:
        """End a process that was never let through."""
        self._child.dismiss()

    async def start(
        self, flow_run: FlowRun, task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Let the process run the flow, and return when it has ended."""
        variables: dict[str, str] = {}
        # Without the channel a signal is only a signal, which is Prefect's own way out.
        with suppress(RuntimeError):
            port, token = self._control_channel.register(flow_run.id)
            variables = {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}
        self._child.go(variables)
        scope = create_isolated_termination_scope(self._child.pid)
        # Of a process, the handle uses its number and its exit code.
        process = cast("Process", self._child)
        task_status.started(ProcessHandle(process, termination_scope=scope))
        await self._child.wait()


def watch(child: Child, folder: Path) -> None:
    """Do what `prefect flow-run execute` does, with the engine that is there.

    Args:
        child: The engine's process.
        folder: Where Prefect's start keeps its files.
    """
    # After the fork: only this half needs it, and the child goes on meanwhile.
    from prefect.cli import flow_run as command  # noqa: PLC0415

    def starter(*, control_channel: ControlChannel, **_: Any) -> ForkedStarter:
        return ForkedStarter(child, folder, control_channel)

    command.WorkspaceResolvingEngineCommandStarter = starter  # type: ignore[attr-defined, assignment]
    asyncio.run(command.execute())
