"""Versions of deployments: what each was, which one is in use, which one a person means.

A version is a number of its deployment, counted from 1 without gaps. It is written down before the
Prefect server hears of it and finished afterwards, so that every label on a flow run leads to a
row, and a push that was interrupted shows as one. Nothing is ever changed back: a rollback or a
promotion is a new version that names the one it was taken from.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prefect_cassandra.errors import VersionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

State = Literal["BEGUN", "REGISTERED", "FAILED"]
Standing = Literal["in use", "superseded", "unfinished", "failed"]
Definition = dict[str, Any]
"""Everything the Prefect server was told about a deployment, as its API takes it."""

VERSION_LABEL = "prefect-cassandra.version"
IMAGE_LABEL = "prefect-cassandra.image"
"""Labels of a flow run: what the worker really started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a version is made of and who made it.

    Args:
        image: Reference by which pods pull the image: with a digest, or with a tag.
        image_tag: Its tag.
        git_commit: Commit the image was built from; empty when nobody knows.
        created_by: Name and e-mail of git, or the user and machine.
        kubernetes_user: As whom the cluster knows that person; empty when it does not say.
        restored_from: Number of the version that a rollback put in use again.
        promoted_from: Where a promotion took it from: context, namespace, release and number.
    """

    image: str
    image_tag: str
    git_commit: str
    created_by: str
    kubernetes_user: str = ""
    restored_from: int | None = None
    promoted_from: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one deployment.

    Attributes:
        deployment: `flow/deployment`.
        number: From 1.
        label: What Prefect shows as the deployment's version, and its runs keep.
        state: BEGUN until the server has it; FAILED when the server refused it.
        origin: What it is made of and who made it.
        created_at: When it was begun, UTC.
        package_version: Version of this package that wrote it.
    """

    deployment: str
    number: int
    label: str
    state: State
    origin: Origin
    created_at: datetime
    package_version: str

    @property
    def digest(self) -> str:
        """The image's digest; empty when it is in no registry."""
        return self.origin.image.partition("@")[2]


def label_of(number: int, image_tag: str) -> str:
    """Return what Prefect shows for a version: number, commit and content at one glance."""
    return f"v{number}-{image_tag}"


def in_use(versions: Sequence[Version], served: str | None) -> Version | None:
    """Return the version that new runs get; None when that is none of these.

    Args:
        versions: Of one deployment.
        served: The deployment's version at the Prefect server; None when it was not asked.
    """
    if served is not None:
        return next((one for one in versions if one.label == served), None)
    return max(_registered(versions), key=lambda one: one.number, default=None)


def standing(version: Version, current: Version | None) -> Standing:
    """Say in a word what became of a version; `current` is what `in_use` returned."""
    if current is not None and version.number == current.number:
        return "in use"
    words: dict[State, Standing] = {
        "BEGUN": "unfinished",
        "REGISTERED": "superseded",
        "FAILED": "failed",
    }
    return words[version.state]


def named(versions: Sequence[Version], deployment: str, number: int) -> Version:
    """Return the version of a number, which must have been registered.

    Raises:
        VersionError: There is no such version, or the server never took it.
    """
    found = next((one for one in versions if one.number == number), None)
    if found is None:
        known = ", ".join(str(one.number) for one in sorted(versions, key=lambda one: one.number))
        raise VersionError(f"{deployment} has no version {number}; it has: {known or 'none'}.")
    if found.state != "REGISTERED":
        raise VersionError(
            f"version {number} of {deployment} is {standing(found, None)}: the Prefect server "
            "never had it whole, so nobody knows what it would have been"
        )
    return found


def before(versions: Sequence[Version], deployment: str, served: str | None) -> Version:
    """Return the version that was in use before the one in use: what a rollback means.

    Args:
        versions: Of one deployment.
        deployment: Its name, for the message.
        served: The deployment's version at the Prefect server.

    Raises:
        VersionError: There is none.
    """
    current = in_use(versions, served)
    # What the server has may be the work of another tool; the newest of ours was before that.
    below = _registered(versions)
    if current is not None:
        below = [one for one in below if one.number < current.number]
    found = max(below, key=lambda one: one.number, default=None)
    if found is None:
        shown = f"version {current.number}" if current else "what is registered"
        raise VersionError(f"{deployment} has no version before {shown}.")
    return found


def find_deployment(known: Sequence[str], name: str) -> str:
    """Return the deployment that a person means by `flow/deployment`, or by the last part alone.

    Raises:
        VersionError: None has that name, or several have; names them.
    """
    if name in known:
        return name
    found = [one for one in known if one.rpartition("/")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise VersionError(f"{name} could be {' or '.join(sorted(found))}; give the whole name.")
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    raise VersionError(
        f"The ledger knows no deployment {name!r}{meant}.",
        hint=f"It knows: {', '.join(sorted(known)) or 'none yet; `flows push` makes the first'}.",
    )


def _registered(versions: Sequence[Version]) -> list[Version]:
    return [one for one in versions if one.state == "REGISTERED"]
