"""Amounts of CPU and memory, as Kubernetes writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prefect_cassandra.errors import ConfigurationError

_QUANTITY = re.compile(r"([0-9.]+)([a-zA-Z]*)")
_FACTORS = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
}
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Amount:
    """What a pod wants or a node has.

    Args:
        cpu: In cores.
        memory: In bytes.
    """

    cpu: float = 0.0
    memory: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cpu - other.cpu, self.memory - other.memory)

    def holds(self, other: Amount) -> bool:
        """Tell whether another amount fits into this one."""
        return self.cpu >= other.cpu and self.memory >= other.memory

    def __str__(self) -> str:
        return f"{self.cpu:.2f} CPU and {self.memory / _MIB:.0f} MiB"


def number(text: str | float) -> float:
    """Return a quantity such as `500m` or `1.5Gi` as a number.

    Raises:
        ConfigurationError: It is none.
    """
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None or found[2] not in _FACTORS:
        raise ConfigurationError(f"{text!r} is no quantity of Kubernetes, such as 500m or 2Gi.")
    return float(found[1]) * _FACTORS[found[2]]


def amount(resources: dict[str, str]) -> Amount:
    """Return the CPU and memory of a map such as `requests` or `allocatable`."""
    return Amount(number(resources.get("cpu", 0)), number(resources.get("memory", 0)))
