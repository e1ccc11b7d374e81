"""Many runs as one table, and the ratios that are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.plane.contest import Measured

_HEAD = ("rows/s", "client s/M", "server s/M", "peak MiB", "loop s")


@dataclass(frozen=True)
class Bar:
    """What one competitor has to reach beside another.

    Args:
        dataset: Data set it holds for.
        ours: Who has to reach it.
        peer: Beside whom.
        speed: At least so many times the peer's rows per second; None asks nothing.
        cost: At most this share of the peer's processor time; None asks nothing.
    """

    dataset: str
    ours: str
    peer: str
    speed: float | None = None
    cost: float | None = None

    def missed(self, measured: Sequence[Measured]) -> list[str]:
        """Return what is not reached; nothing when one of the two did not run.

        Rounds are compared pair by pair, since what else the machine does changes between them.
        """
        said = []
        for what, wanted, value, reached in (
            ("rows/s", self.speed, lambda one: one.speed, lambda share, bar: share >= bar),
            ("client CPU", self.cost, lambda one: one.cost, lambda share, bar: share <= bar),
        ):
            shares = self._shares(measured, value)
            if wanted is not None and shares and not reached(median(shares), wanted):
                said.append(
                    f"{self.dataset}: {self.ours} has {median(shares):.3f} of the {what} of "
                    f"{self.peer}, asked for {wanted:.3f}"
                )
        return said

    def _shares(
        self, measured: Sequence[Measured], value: Callable[[Measured], float]
    ) -> list[float]:
        runs = [_runs(measured, self.dataset, name) for name in (self.ours, self.peer)]
        return [value(ours) / value(peer) for ours, peer in zip(*runs, strict=False)]


@dataclass(frozen=True)
class Ceiling:
    """How much memory one competitor may take.

    Args:
        dataset: Data set it holds for.
        ours: Whose memory.
        peak: At most so many MiB, in every round.
    """

    dataset: str
    ours: str
    peak: float

    def missed(self, measured: Sequence[Measured]) -> list[str]:
        """Return what is not kept; nothing when it did not run."""
        peak = max((one.peak for one in _runs(measured, self.dataset, self.ours)), default=0.0)
        if peak <= self.peak:
            return []
        return [f"{self.dataset}: {self.ours} took {peak:.0f} MiB, allowed are {self.peak:.0f}"]


def table(measured: Sequence[Measured], dataset: str) -> str:
    """Return medians, and in brackets the extremes of the speed, of everybody on one data set."""
    names = list(dict.fromkeys(one.competitor for one in measured if one.dataset == dataset))
    lines = [f"{dataset:<28}" + f"{_HEAD[0]:>30}" + "".join(f"{name:>12}" for name in _HEAD[1:])]
    for name in names:
        runs = _runs(measured, dataset, name)
        speeds = [one.speed for one in runs]
        speed = f"{median(speeds):,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f})"
        others = (
            median(one.cost for one in runs),
            median(one.served for one in runs),
            max(one.peak for one in runs),
            median(one.loop for one in runs),
        )
        cells = "".join(f"{value:>12.2f}" for value in others)
        lines.append(f"{f'{name} x{len(runs)}':<28}{speed:>30}{cells}")
    return "\n".join(lines)


def missed(bars: Iterable[Bar | Ceiling], measured: Sequence[Measured]) -> list[str]:
    """Return every bar that is not reached, in words."""
    return [line for bar in bars for line in bar.missed(measured)]


def _runs(measured: Sequence[Measured], dataset: str, competitor: str) -> list[Measured]:
    return [one for one in measured if (one.dataset, one.competitor) == (dataset, competitor)]
