"""Class-data sharing: the JVM maps 9,000 parsed classes from a file instead of parsing them anew.

It saves about half of a node's start. The first start without an archive writes down which
classes it loads; a low-priority process then makes the archive while the node already serves. The
next start has it. A JVM ignores an archive that does not fit, so nothing here makes a start fail.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import shutil
import subprocess
import threading
from typing import IO, TYPE_CHECKING

from prefect_cassandra.local.jvm import SERVER, class_path, runtime_flags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_cassandra.local.config import NodeSpec
    from prefect_cassandra.local.jvm import Runtime

# About 75 MB each: two Javas with two collectors. More would only fill a disk.
_KEPT = 4

_log = logging.getLogger(__name__)


class ClassData:
    """The archive for one combination of Java, jars and JVM flags.

    Args:
        spec: Any of the nodes: what differs between them does not matter here.
        runtime: Java and jars.
    """

    def __init__(self, spec: NodeSpec, runtime: Runtime) -> None:
        self._flags = runtime_flags(spec, runtime.java)
        self._runtime = runtime
        self._folder = runtime.cache_folder / "classdata"
        key = archive_key(runtime, self._flags)
        self.archive = self._folder / f"{key}.jsa"
        self._draft = self._folder / f"{key}.draft"
        self._classes = self._folder / f"{key}.classes"
        self._output = self._folder / f"{key}.log"
        self._lock_path = self._folder / f"{key}.lock"
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None

    def flags(self) -> list[str]:
        """Return the flags that use the archive; none where there is no archive yet."""
        if not self.archive.is_file():
            return []
        with contextlib.suppress(OSError):
            # The most recently used archives are the ones that are kept.
            self.archive.touch()
        return ["-Xshare:auto", f"-XX:SharedArchiveFile={self.archive}"]

    def recording_flags(self) -> list[str]:
        """Return the flags for the one node that shall write down its classes.

        Nobody records when there is an archive, or when another process is at it.
        """
        if self.archive.is_file() or not self._take_lock():
            return []
        self._classes.unlink(missing_ok=True)
        return [f"-XX:DumpLoadedClassList={self._classes}"]

    def start_dump(self, environment: Mapping[str, str]) -> bool:
        """Begin to make the archive in the background; call it when the recording node is ready.

        Returns:
            Whether a process was started.
        """
        if self._lock is None or not self._close_class_list():
            self._release()
            return False
        command = self.dump_command()
        nice = shutil.which("nice")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [nice, "-n", "19", *command] if nice else command,
                cwd=self._folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watcher = threading.Thread(
            target=self._publish, args=(self._process,), name="class-data", daemon=True
        )
        self._watcher.start()
        return True

    def finish(self, timeout: float = 0.0) -> bool:
        """Wait for the archive; after `timeout` seconds drop what is half made.

        Returns:
            Whether there is an archive now.
        """
        if self._watcher and self._process:
            self._watcher.join(timeout)
            if self._watcher.is_alive():
                self._process.kill()
                self._watcher.join()
        self._release()
        return self.archive.is_file()

    def is_dumping(self) -> bool:
        """Tell whether the archive is being made by us right now."""
        return self._watcher is not None and self._watcher.is_alive()

    def dump_command(self) -> list[str]:
        """Build the command line that makes the archive."""
        return [
            str(self._runtime.java.executable),
            *self._flags,
            "-Xshare:dump",
            f"-XX:SharedClassListFile={self._classes}",
            f"-XX:SharedArchiveFile={self._draft}",
            "-cp",
            class_path(self._runtime.jars),
            SERVER,
        ]

    def _take_lock(self) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._lock_path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lock = file
        return True

    def _release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def _close_class_list(self) -> bool:
        """Drop the last line: the recording JVM still runs and may have written half of it."""
        try:
            text = self._classes.read_bytes()
            self._classes.write_bytes(text[: text.rfind(b"\n") + 1])
        except OSError:
            return False
        return bool(text)

    def _publish(self, process: subprocess.Popen[bytes]) -> None:
        """Give the archive its name once it is whole."""
        try:
            if process.wait() == 0 and self._draft.is_file():
                self._draft.replace(self.archive)
                self._prune()
            elif process.returncode > 0:
                _log.warning("The class-data archive was not made; see %s.", self._output)
        except OSError as error:
            _log.warning("The class-data archive was not kept: %s.", error)
        finally:
            self._draft.unlink(missing_ok=True)
            self._classes.unlink(missing_ok=True)

    def _prune(self) -> None:
        archives = sorted(self._folder.glob("*.jsa"), key=lambda path: -path.stat().st_mtime)
        for old in archives[_KEPT:]:
            old.unlink(missing_ok=True)


def archive_key(runtime: Runtime, flags: list[str]) -> str:
    """Name what an archive depends on.

    The JVM itself compares paths, sizes and times of the jars and ignores an archive that does not
    fit, without a word: a new name makes us notice.
    """
    parts = [str(runtime.java.home), runtime.java.version, *flags]
    for jar in runtime.jars:
        facts = jar.stat()
        parts.append(f"{jar} {facts.st_size} {int(facts.st_mtime)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
