"""When what happened to a flow run: seen from outside, by watching the cluster."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Self

from prefect_cassandra.kube.tools import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect_cassandra.kube.kubectl import Release

LABEL = "prefect.io/flow-run-id"
_ESCAPED = LABEL.replace(".", "\\.")
# A line for each change: the run and, of a pod, its phase.
_COLUMNS = {
    "jobs": f"{{.metadata.labels.{_ESCAPED}}} Created{{'\\n'}}",
    "pods": f"{{.metadata.labels.{_ESCAPED}}} {{.status.phase}}{{'\\n'}}",
}
CREATED, RUNNING = "Created", "Running"
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Moments:
    """What happened when, in seconds since 1970.

    Timestamps of Kubernetes have whole seconds, so Job and pod are those of the news about them;
    the flow's is Prefect's, the row's is Cassandra's.
    """

    triggered: float
    job: float
    pod: float
    flow: float
    row: float


# What is between them, in the order of the table.
PHASES = {
    "trigger -> Job created": ("triggered", "job"),
    "Job created -> pod running": ("job", "pod"),
    "pod running -> flow Running": ("pod", "flow"),
    "flow Running -> first row": ("flow", "row"),
    "Job created -> flow Running": ("job", "flow"),
    "trigger -> flow Running": ("triggered", "flow"),
    "trigger -> first row": ("triggered", "row"),
}
TO_JOB, TO_RUNNING, JOB_TO_RUNNING = (
    "trigger -> Job created",
    "trigger -> flow Running",
    "Job created -> flow Running",
)


def seconds(measured: Iterable[Moments], phase: str) -> list[float]:
    """Return how long a phase took in each run."""
    first, last = PHASES[phase]
    return [getattr(one, last) - getattr(one, first) for one in measured]


def table(measured: dict[str, list[Moments]]) -> str:
    """Return the medians, and in brackets the extremes, of each phase by competitor."""
    names = list(measured)
    rounds = min(len(one) for one in measured.values())
    lines = [f"{f'seconds, median of {rounds}':<30}" + "".join(f"{name:>26}" for name in names)]
    for phase in PHASES:
        taken = [seconds(measured[name], phase) for name in names]
        cells = [f"{median(one):.2f} ({min(one):.2f}-{max(one):.2f})" for one in taken]
        lines.append(f"{phase:<30}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


class Watch:
    """Notes when the cluster tells of each change of Jobs and pods that belong to flow runs.

    Args:
        release: Which cluster; the namespaces are all.
    """

    def __init__(self, release: Release) -> None:
        self._release = release
        self._seen: dict[tuple[str, str], float] = {}
        self._news = threading.Condition()
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for kind, columns in _COLUMNS.items():
            command = self._release.kubectl(
                *("get", kind, "--all-namespaces", "--selector", LABEL),
                *("--watch", "--output", f"jsonpath={columns}"),
            )
            process = subprocess.Popen(
                [find(command[0]), *command[1:]], stdout=subprocess.PIPE, text=True
            )
            self._processes.append(process)
            threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(10)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                run, _, what = line.strip().partition(" ")
                with self._news:
                    self._seen.setdefault((run, what), time.time())
                    self._news.notify_all()

    def when(self, run: str, what: Sequence[str], *, within: float) -> float:
        """Return when the first of some changes was seen of a run, waiting for it.

        Args:
            run: Its id.
            what: Changes, such as `Running`.
            within: Seconds until it is an error.
        """

        def found() -> list[float]:
            return [self._seen[run, one] for one in what if (run, one) in self._seen]

        with self._news:
            assert self._news.wait_for(found, within), f"run {run} was never {' or '.join(what)}"
            return min(found())
