"""Writes `jars.lock.json`: resolve Cassandra's dependencies, download them once, note what came.

Run `python -m prefect_cassandra.local.jarlock` after raising the version below, look at the
difference and commit it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prefect_cassandra.local.jars import ANY_PLATFORM, LOCK_NAME, Jar, maven_library

CASSANDRA = "5.0.9"

# Not needed at run time: an old Java driver with its own netty, and annotations for a translator.
# jsr305 and psjava look as unneeded and are not: the first is read with cassandra.yaml, the second
# when a node bootstraps.
LEFT_OUT = frozenset({"cassandra-driver-core", "j2objc-annotations"})

# How the native jars are classified, and where each runs. Whatever is not named is left out
# (Windows, RISC-V). Netty's own name server client for macOS has no caller in Cassandra.
CLASSIFIERS = {
    "": ANY_PLATFORM,
    "native": ANY_PLATFORM,
    "linux-x86_64": "linux-x86_64",
    "linux-aarch_64": "linux-aarch64",
    "osx-x86_64": "macos-x86_64",
    "osx-aarch_64": "macos-aarch64",
}
LEFT_OUT_NATIVES = frozenset({"netty-resolver-dns-native-macos"})


def is_wanted(artifact: str, classifier: str) -> bool:
    """Decide whether a resolved dependency goes into the lock."""
    return artifact not in LEFT_OUT | LEFT_OUT_NATIVES and classifier in CLASSIFIERS


def resolve(version: str, poms: Path) -> list[Any]:
    """Return the artifacts of Cassandra and of its runtime dependencies."""
    maven = maven_library()
    # The poms' profiles are decided as on Linux: the lock is the same wherever it is made.
    profile = maven.ProfileConstraints(os_name="Linux", os_family="unix", os_arch="amd64")
    context = maven.MavenContext(
        resolver=maven.PythonResolver(profile_constraints=profile), repo_cache=poms, timeout=60
    )
    root = context.project("org.apache.cassandra", "cassandra-all").at_version(version).artifact()
    _, dependencies = context.resolver.resolve([maven.Dependency(root, scope="compile")])
    artifacts = [root, *(one.artifact for one in dependencies if one.scope != "provided")]
    return [one for one in artifacts if is_wanted(one.artifactId, one.classifier)]


class Suspicions(logging.Handler):
    """Collects what jgo only warns of: a file whose SHA-1 is not the one published beside it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is about checksums."""
        if "checksum" in record.getMessage().lower():
            self.found.append(record.getMessage())


def describe(artifact: Any) -> Jar:
    """Download one artifact and write down what it is."""
    path: Path = artifact.resolve()
    parts = [artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier]
    return Jar(
        coordinates=":".join(part for part in parts if part),
        size=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        platform=CLASSIFIERS[artifact.classifier],
    )


def render(version: str, jars: list[Jar]) -> str:
    """Write the lock as text, one jar a line, so that a change reads well in a diff."""
    lines = [
        json.dumps(
            {
                "coordinates": jar.coordinates,
                "size": jar.size,
                "sha256": jar.sha256,
                "platform": jar.platform,
            }
        )
        for jar in sorted(jars, key=lambda jar: jar.coordinates)
    ]
    body = ",\n    ".join(lines)
    return f'{{\n  "cassandra": {json.dumps(version)},\n  "jars": [\n    {body}\n  ]\n}}\n'


def main() -> None:
    """Write the lock next to this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cassandra", default=CASSANDRA, help="version to lock")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name(LOCK_NAME), help="file to write"
    )
    arguments = parser.parse_args()
    suspicions = Suspicions()
    logging.getLogger("jgo").addHandler(suspicions)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(8) as pool:
        artifacts = resolve(arguments.cassandra, Path(folder))
        jars = list(pool.map(describe, artifacts))
    if suspicions.found:
        raise SystemExit("No lock written. " + "; ".join(suspicions.found))
    arguments.output.write_text(render(arguments.cassandra, jars), encoding="utf-8")
    megabytes = sum(jar.size for jar in jars) / 1e6
    print(f"{arguments.output}: {len(jars)} jars, {megabytes:.1f} MB")  # noqa: T201 -- a script's result


if __name__ == "__main__":
    main()
