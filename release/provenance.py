"""Where the artifacts come from: checksums, and a SLSA statement over all of them.

The statement says what was built from what; it is not signed. The release workflow adds
attestations that are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:prefect-cassandra:release:v1"


@dataclass(frozen=True, slots=True)
class Build:
    """One run of the release.

    Args:
        version: What was released.
        registry: Where images and chart went.
        builder: Who ran it, as a URI.
        invocation: Which run of the builder it was, as a URI; empty when nobody counts.
        started: When, ISO 8601.
        finished: When it was done, ISO 8601.
        is_clean: Whether everything that was built had been committed.
    """

    version: str
    registry: str
    builder: str
    invocation: str
    started: str
    finished: str
    is_clean: bool


@dataclass(frozen=True, slots=True)
class Thing:
    """Something with a digest, built or built from.

    Args:
        name: File name, or name with registry.
        algorithm: `sha256`, or `gitCommit`.
        digest: In hexadecimal digits.
    """

    name: str
    algorithm: str
    digest: str


def of_file(path: Path, name: str = "") -> Thing:
    """Return a file with its digest, under its own name or another."""
    return Thing(name or path.name, "sha256", hashlib.sha256(path.read_bytes()).hexdigest())


def of_image(name: str, digest: str) -> Thing:
    """Return something in a registry with its digest.

    Args:
        name: Name with registry and path, without a tag.
        digest: `sha256:...`.
    """
    algorithm, _, digits = digest.partition(":")
    return Thing(name, algorithm, digits)


def origin(remote: str) -> str:
    """Return a repository as a URI, without a login that may stand in its address.

    Args:
        remote: Address as git has it; empty, or a folder, for a clone that nobody else can reach.
    """
    parts = urlsplit(remote)
    if not parts.scheme or not parts.hostname:
        return "urn:prefect-cassandra:source"
    return f"git+{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def checksums(files: Iterable[Path], root: Path) -> str:
    """Return a list that `sha256sum --check` reads, of files below a folder."""
    named = sorted((path.relative_to(root).as_posix(), path) for path in files)
    return "".join(f"{of_file(path).digest}  {name}\n" for name, path in named)


def statement(build: Build, subjects: list[Thing], sources: list[Thing]) -> dict[str, Any]:
    """Return an in-toto statement: these artifacts were built from those sources.

    Args:
        build: The run.
        subjects: What was built; at least one.
        sources: What it was built from.
    """
    return {
        "_type": STATEMENT,
        "subject": [{"name": one.name, "digest": {one.algorithm: one.digest}} for one in subjects],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"version": build.version, "registry": build.registry},
                "internalParameters": {"everythingCommitted": build.is_clean},
                "resolvedDependencies": [
                    {"uri": one.name, "digest": {one.algorithm: one.digest}} for one in sources
                ],
            },
            "runDetails": {
                "builder": {"id": build.builder},
                "metadata": {
                    "invocationId": build.invocation,
                    "startedOn": build.started,
                    "finishedOn": build.finished,
                },
            },
        },
    }
