"""DSBulk by its parts, pinned by checksum. Run it as a program to write the lock anew."""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect_cassandra.local.jarlock import describe, is_wanted
from prefect_cassandra.local.jars import (
    ANY_PLATFORM,
    Jar,
    current_platform,
    download_jars,
    maven_library,
)

VERSION = "1.10.0"
_GROUP = "com.datastax.oss"
_PARTS = (
    "runner",
    "connectors-csv",
    "workflow-load",
    "workflow-unload",
    "batcher-reactor",
    "executor-reactor",
)
# What only tests of DSBulk's parts use.
_LEFT_OUT = frozenset({"mockito-core", "byte-buddy", "byte-buddy-agent", "objenesis"})
LOCK = Path(__file__).with_name("dsbulk.lock.json")


def class_path(cache: Path) -> str:
    """Return DSBulk's class path, downloading what is missing.

    Args:
        cache: Folder of downloads.

    Raises:
        DownloadError: A jar is not to be had or is not the one in the lock.
    """
    platforms = {ANY_PLATFORM, current_platform()}
    listed = [Jar(**one) for one in json.loads(LOCK.read_text(encoding="utf-8"))]
    jars = [jar for jar in listed if jar.platform in platforms]
    folder = cache / "jars" / f"dsbulk-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    download_jars(folder, jars)
    return ":".join(str(folder / jar.file_name) for jar in jars)


def resolve(poms: Path) -> list[Any]:
    """Return the artifacts of the parts and of what they need."""
    maven = maven_library()
    profile = maven.ProfileConstraints(os_name="Linux", os_family="unix", os_arch="amd64")
    context = maven.MavenContext(
        resolver=maven.PythonResolver(profile_constraints=profile), repo_cache=poms, timeout=60
    )
    roots = [
        context.project(_GROUP, f"dsbulk-{part}").at_version(VERSION).artifact() for part in _PARTS
    ]
    wanted = [maven.Dependency(root, scope="compile") for root in roots]
    _, dependencies = context.resolver.resolve(wanted)
    found = [*roots, *(one.artifact for one in dependencies if one.scope != "provided")]
    return [
        one
        for one in found
        if is_wanted(one.artifactId, one.classifier) and one.artifactId not in _LEFT_OUT
    ]


def main() -> None:
    """Write the lock beside this module."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(8) as pool:
        jars = sorted(
            set(pool.map(describe, resolve(Path(folder)))), key=lambda jar: jar.coordinates
        )
    lines = ",\n  ".join(json.dumps(asdict(jar)) for jar in jars)
    LOCK.write_text(f"[\n  {lines}\n]\n", encoding="utf-8")
    sys.stdout.write(f"{LOCK}: {len(jars)} jars\n")


if __name__ == "__main__":
    main()
