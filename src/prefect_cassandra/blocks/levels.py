"""The consistency levels that a cluster block offers in Prefect's pages."""

from __future__ import annotations

from enum import StrEnum


class Consistency(StrEnum):
    """How many replicas must answer a request before it counts as done."""

    ANY = "ANY"
    ONE = "ONE"
    TWO = "TWO"
    THREE = "THREE"
    QUORUM = "QUORUM"
    ALL = "ALL"
    LOCAL_QUORUM = "LOCAL_QUORUM"
    EACH_QUORUM = "EACH_QUORUM"
    SERIAL = "SERIAL"
    LOCAL_SERIAL = "LOCAL_SERIAL"
    LOCAL_ONE = "LOCAL_ONE"


class SerialConsistency(StrEnum):
    """Which replicas agree on a conditional write: all datacenters, or the local one."""

    SERIAL = "SERIAL"
    LOCAL_SERIAL = "LOCAL_SERIAL"
