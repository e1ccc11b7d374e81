"""What a client costs: wall time, processor time and memory, of itself and of what it started."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SAMPLE = 0.2  # seconds
_MIB = 1024 * 1024
_TAIL = 2000
_TICKS = os.sysconf("SC_CLK_TCK")
LOOP = 5_000_000


@dataclass(frozen=True)
class Usage:
    """What one run took.

    Args:
        seconds: Wall time.
        cpu: Seconds of processor time, children included.
        peak: Most memory held at one time, in MiB.
    """

    seconds: float
    cpu: float
    peak: float


def calibration() -> float:
    """Return the processor seconds of a plain loop: how fast this machine is at this moment."""
    started = time.process_time()
    x = 0
    for i in range(LOOP):
        x += i
    return time.process_time() - started


def cpu_of(pid: int) -> float:
    """Return the processor time of one process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def run_command(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Usage:
    """Run a program from its start to its end and return what it took.

    Memory is the largest sum over its processes, sampled five times a second; what the kernel says
    at the end (`ru_maxrss`) counts what this process held when it started the program.

    Raises:
        RuntimeError: It failed; with the end of what it printed.
    """
    with log.open("wb") as output:
        before = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        peak = _Peak(process.pid)
        peak.start()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    peak.stop()
    if process.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
        raise RuntimeError(f"{' '.join(command[:3])} ended with {process.returncode}: {said}")
    return Usage(seconds, used.ru_utime + used.ru_stime, peak.mib)


class _Peak(threading.Thread):
    """Samples the memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._ended = threading.Event()
        self.mib = 0.0

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE):
            with suppress(psutil.Error):
                family = [self._root, *self._root.children(recursive=True)]
                self.mib = max(self.mib, sum(one.memory_info().rss for one in family) / _MIB)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def measured(work: Callable[[], Any]) -> None:
    """Run `work` in this process, without what came before it, and print its `Usage`."""
    with suppress(OSError):
        # Forget the peak of what was prepared; what is still held counts.
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before, started = _own_cpu(), time.perf_counter()
    work()
    seconds, cpu = time.perf_counter() - started, _own_cpu() - before
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    sys.stdout.write(f"{json.dumps(asdict(Usage(seconds, cpu, peak)))}\n")


def reported(log: Path) -> Usage:
    """Read what `measured` printed last."""
    return Usage(**json.loads(log.read_text(encoding="utf-8").strip().splitlines()[-1]))


def _own_cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)
