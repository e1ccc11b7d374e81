"""The whole stack on one machine: Cassandra, the Prefect server, a work pool and its worker.

```
with Stack(StackConfig.from_settings(data=folder)) as stack:
    subprocess.run([...], env=stack.environment())
```
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from prefect_cassandra.errors import LocalStackError
from prefect_cassandra.local import prefect_services, preflight
from prefect_cassandra.local.cassandra import Cassandra
from prefect_cassandra.local.guard import FAREWELL, sweep, unmarked
from prefect_cassandra.local.jars import read_lock
from prefect_cassandra.local.parts import Child, Part, crash
from prefect_cassandra.local.plan import StackConfig, cassandra_config, needs_of
from prefect_cassandra.local.state import (
    FolderLock,
    Identity,
    PartRecord,
    Phase,
    StackState,
    check_fits,
    read_state,
    write_state,
)
from prefect_cassandra.schema.model import STATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.local.guard import MarkedProcess
    from prefect_cassandra.local.jars import DownloadProgress

__all__ = ["Event", "Stack", "StackConfig"]

_PAUSE = 0.1
_WATCH_EVERY = 0.5
# Beyond the time that running flows get: for their last words and the worker's.
_WORKER_GRACE = 25.0
_LEFTOVER_GRACE = 10.0
_GUARD_GRACE = 20.0
_DOWNLOAD_STEPS = 10


@dataclass(frozen=True, slots=True)
class Event:
    """Something people may want to see while a stack starts, runs and stops.

    Args:
        part: Which part, or `stack`.
        state: What it does now; `note` leaves the state as it is.
        text: More about it.
        share: How much of it is done, from 0 to 1; None when nobody can tell.
    """

    part: str
    state: Literal["starting", "ready", "stopping", "stopped", "note"]
    text: str = ""
    share: float | None = None


class Stack:
    """Starts, watches and stops everything; a context manager.

    It installs no signal handlers: `supervisor.py` does that for the command line. When the process
    that holds it dies, in whatever way, a guard process ends everything.

    Args:
        config: What to start and where.
        report: Told of each event, from several threads.
    """

    def __init__(
        self, config: StackConfig, report: Callable[[Event], None] = lambda _event: None
    ) -> None:
        self.config = config
        self._report = report
        self._lock = FolderLock(config.data)
        self._guard: Child | None = None
        self._services: prefect_services.Services | None = None
        self._cassandra = Cassandra(cassandra_config(config))
        self._state = self._wanted_state()
        self._aborted = threading.Event()
        self._hurry = threading.Event()

    # What users of a running stack need to know.

    @property
    def contact_points(self) -> tuple[str, ...]:
        """Return the nodes' addresses."""
        return self.config.addresses

    @property
    def cql_port(self) -> int:
        """Return the port for CQL."""
        return self.config.cql_port

    @property
    def superuser(self) -> Path:
        """Return the folder with the superuser's `username` and `password` files."""
        return self._cassandra.superuser

    @property
    def ca_file(self) -> Path | None:
        """Return the certificate that signs the nodes' ones, None without TLS."""
        files = self._cassandra.tls_files
        return files.ca if files else None

    def cluster_config(self, role: str | None = "superuser") -> ClusterConfig:
        """Return how a driver session reaches the nodes.

        Args:
            role: Folder under `secrets` with the login, None for no login.
        """
        return self._cassandra.cluster_config(role)

    @property
    def api_url(self) -> str | None:
        """Return the address of Prefect's API, None without Prefect."""
        return prefect_services.api_url(self.config.server_port) if self.config.prefect else None

    @property
    def ui_url(self) -> str | None:
        """Return the address of Prefect's pages, None without Prefect."""
        return prefect_services.ui_url(self.config.server_port) if self.config.prefect else None

    def environment(self) -> dict[str, str]:
        """Return the environment for child processes: ours, with Prefect meaning this stack."""
        if not self.config.prefect:
            return dict(os.environ)
        return prefect_services.client_environment(
            self.config.data, self.config.server_port, os.environ
        )

    @property
    def parts(self) -> list[Part]:
        """Return what was started, in the order of their start."""
        started: list[Part] = [*self._cassandra.nodes]
        if self._guard is not None:
            started.append(self._guard)
        if self._services is not None:
            started += [self._services.server, self._services.worker]
        return [one for one in started if one.pid is not None or one.ended()]

    # Start.

    def up(self) -> None:
        """Start everything and return when all of it answers.

        Raises:
            DataFolderError: The folder is in use, damaged or holds something else.
            PortInUseError: A port is taken.
            ResourceError: Memory, disk, an address or a Java is missing.
            LocalStackError: A part did not start; everything is stopped again.
        """
        self.config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock.acquire()
        try:
            self._check_folder()
            self._end_leftovers()
            preflight.check(needs_of(self.config))
        except BaseException:
            # Nothing of ours has begun, and what the folder says of itself stays.
            self._lock.release()
            raise
        try:
            self._write("starting")
            self._start_guard()
            self._start_parts()
            self._write("running")
        except BaseException:
            self.down()
            raise

    def _check_folder(self) -> None:
        found = read_state(self.config.data)
        # After a start that failed before any node wrote, everything may still be chosen anew.
        if (self.config.data / "node1" / "data").exists():
            check_fits(self.config.data, found, self._state)

    def _wanted_state(self) -> StackState:
        config = self.config
        return StackState(
            cassandra=read_lock().cassandra,
            nodes=config.nodes,
            tls=config.tls,
            prefect=config.prefect,
            ports=config.ports,
            api_url=self.api_url,
        )

    def _write(self, phase: Phase) -> None:
        records = [
            PartRecord(part.name, identity, part.address, str(part.log))
            for part in self.parts
            if part.pid is not None and (identity := Identity.of(part.pid)) is not None
        ]
        supervisor = Identity.of(os.getpid())
        self._state = replace(self._state, phase=phase, supervisor=supervisor, parts=records)
        write_state(self.config.data, self._state)

    def _end_leftovers(self) -> None:
        """Name, then end, what an earlier stack left: its guard died too, or is not done yet."""

        def name(one: MarkedProcess) -> None:
            self._report(
                Event("stack", "note", f"ending a leftover of an earlier start: {one.describe()}")
            )

        remaining = sweep(self.config.data, self.config.stop_timeout, on_found=name)
        if remaining:
            raise LocalStackError(
                f"A process of an earlier start does not end: {remaining[0].describe()}.",
                hint="End it, or use another folder with --data.",
            )

    def _start_guard(self) -> None:
        command = [sys.executable, "-m", "prefect_cassandra.local.guard"]
        self._guard = Child(
            name="guard",
            command=[*command, str(self.config.data), str(_GUARD_GRACE)],
            # Without the mark: it must not end itself.
            environment=unmarked(os.environ),
            log=self.config.data / "logs" / "guard.log",
        )
        self._guard.start()

    def _start_parts(self) -> None:
        """Start Cassandra and Prefect at once; the first failure calls the others off."""
        jobs = [self._start_cassandra, *([self._start_prefect] if self.config.prefect else [])]
        with ThreadPoolExecutor(len(jobs), thread_name_prefix="start") as pool:
            pending = {pool.submit(job) for job in jobs}
            try:
                while pending:
                    done, pending = wait(pending, _PAUSE, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    self._check_start()
            except BaseException:
                self._aborted.set()
                # Ends whatever the other thread waits for, also a tool that runs for a moment only.
                sweep(self.config.data, 0.0)
                raise

    def _check_start(self) -> None:
        self.check()
        if self._aborted.is_set():
            raise LocalStackError("The start was called off.")

    def _start_cassandra(self) -> None:
        self._report(Event("cassandra", "starting"))

        shown = -1

        def progress(done: DownloadProgress) -> None:
            nonlocal shown
            if self._aborted.is_set():
                raise LocalStackError("The download of the jars was called off.")
            step = done.bytes_done * _DOWNLOAD_STEPS // max(1, done.bytes_total)
            if step > shown:
                shown = step
                megabytes = f"{done.bytes_done / 1e6:.0f} of {done.bytes_total / 1e6:.0f} MB"
                text = f"downloading jars, {megabytes}"
                self._report(Event("cassandra", "note", text, step / _DOWNLOAD_STEPS))

        self._cassandra.prepare(progress)
        self._cassandra.start(self.config.start_timeout, aborted=self._aborted.is_set)
        points = ", ".join(f"{one}:{self.cql_port}" for one in self.contact_points)
        self._report(Event("cassandra", "ready", points))

    def _make_services(self) -> prefect_services.Services:
        config = self.config
        logs = None
        if config.log_store == "cassandra":
            logs = prefect_services.logs_in_cassandra(self.cluster_config(STATE))
        return prefect_services.Services(
            config.data, config.cache, config.server_port, config.drain_timeout, logs
        )

    def _start_prefect(self) -> None:
        config = self.config
        self._services = self._make_services()
        self._report(Event("server", "starting"))
        self._report(Event("worker", "starting"))
        self._services.start(
            config.start_timeout,
            aborted=self._aborted.is_set,
            on_ready=lambda part: self._report(Event(part.name, "ready", part.address)),
        )

    # Run.

    def check(self) -> None:
        """Look at every part once.

        Raises:
            LocalStackError: A part ended by itself; names it and quotes its log.
        """
        for part in self.parts:
            if part.ended():
                raise crash(part)

    def watch(self, stop: threading.Event) -> None:
        """Look at the parts twice a second until `stop` is set.

        A worker that dies takes the stack down instead of being replaced: the flows it ran are
        without anyone who reports their end, and the next start settles exactly that.

        Raises:
            LocalStackError: A part ended by itself.
        """
        while not stop.wait(_WATCH_EVERY):
            self.check()

    def call_off(self) -> None:
        """Make an `up` in another thread, or interrupted by a signal, stop waiting."""
        self._aborted.set()

    def hurry(self) -> None:
        """Make a `down` under way kill what it waits for."""
        self._hurry.set()

    # Stop.

    def down(self) -> None:
        """Stop everything in order: the worker, what it ran, the server, the nodes.

        While the worker and the flows end, the server is there to hear how they ended.
        """
        if not self._lock.is_held():
            return
        with ExitStack() as steps:
            # Called from the last to the first; each even if another failed.
            steps.callback(self._lock.release)
            steps.callback(self._forget)
            steps.callback(self._dismiss_guard)
            steps.callback(self._sweep)
            steps.callback(self._stop_cassandra)
            steps.callback(self._stop_server)
            steps.callback(self._stop_worker)
            self._write("stopping")

    def _stop_worker(self) -> None:
        if self._services is None:
            return
        self._stop(self._services.worker, self.config.drain_timeout + _WORKER_GRACE)
        # A killed worker leaves its flows; with the server still there they report their end.
        self._sweep(branch=prefect_services.WORKER_BRANCH)

    def _stop_server(self) -> None:
        if self._services is not None:
            self._stop(self._services.server, self.config.stop_timeout)

    def _stop(self, part: Child, timeout: float) -> None:
        if not part.is_running():
            # One that ended by itself is still to be reaped, and its pipe to be closed.
            part.stop(timeout)
            return
        self._report(Event(part.name, "stopping"))
        self._patiently(lambda: part.stop(timeout), part.kill)
        self._report(Event(part.name, "stopped"))

    def _stop_cassandra(self) -> None:
        if not any(node.is_running() for node in self._cassandra.nodes):
            return
        self._report(Event("cassandra", "stopping"))
        self._patiently(
            lambda: self._cassandra.stop(self.config.stop_timeout), self._cassandra.kill
        )
        self._report(Event("cassandra", "stopped"))

    def _patiently(self, stop: Callable[[], object], kill: Callable[[], None]) -> None:
        """Wait for an orderly end, and make it a quick one as soon as somebody asks for that."""
        with ThreadPoolExecutor(1, thread_name_prefix="stop") as pool:
            stopping = pool.submit(stop)
            while not wait([stopping], _PAUSE).done:
                if self._hurry.is_set():
                    kill()
            stopping.result()

    def _sweep(self, branch: str = "") -> None:
        def name(one: MarkedProcess) -> None:
            self._report(Event("stack", "note", f"ending {one.describe()}"))

        sweep(
            self.config.data,
            _LEFTOVER_GRACE,
            branch=branch,
            hurry=self._hurry.is_set,
            on_found=name,
        )

    def _dismiss_guard(self) -> None:
        if self._guard is not None:
            self._guard.say(FAREWELL, last=True)
            self._guard.stop(_LEFTOVER_GRACE)

    def _forget(self) -> None:
        self._state = self._state.stopped()
        write_state(self.config.data, self._state)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *exc: object) -> None:
        self.down()
