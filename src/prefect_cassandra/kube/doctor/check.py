"""One finding of the doctor, and what a list of them means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and how it was.

    Args:
        name: Stable name, such as `server.pool`; several objects may share it.
        status: `ok`, `warn` (works, but look at it), `fail`, or `skipped` (could not be looked at).
        evidence: What was found, in a sentence.
        hint: What to do next; empty when nothing has to be done.
        subject: The object it is about, such as `pod pc-server-0`; empty where the name says it.
    """

    name: str
    status: Status
    evidence: str
    hint: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order in which they were looked at."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed; a warning is no failure, nor is a check that was skipped."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "fail")

    @property
    def exit_code(self) -> int:
        """What the command ends with: 0 when no check failed, else 1."""
        return 0 if self.ok else 1


def ok(name: str, evidence: str, subject: str = "") -> Check:
    """Return a finding that all is well."""
    return Check(name, "ok", evidence, subject=subject)


def warn(name: str, evidence: str, hint: str, subject: str = "") -> Check:
    """Return a finding that needs a look, though things work."""
    return Check(name, "warn", evidence, hint, subject)


def fail(name: str, evidence: str, hint: str, subject: str = "") -> Check:
    """Return a finding that something does not work."""
    return Check(name, "fail", evidence, hint, subject)


def skipped(name: str, reason: str, hint: str = "") -> Check:
    """Return a finding that something could not be looked at, and why."""
    return Check(name, "skipped", reason, hint)
