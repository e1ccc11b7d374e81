"""Which jars make a Cassandra, and a folder that holds exactly those.

The lock next to this module names every jar with its size and SHA-256. A jar stands under its own
name only once both were checked, so a file that is there is a file that is right.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import platform
import shutil
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prefect_cassandra.errors import (
    ConfigurationError,
    DownloadError,
    PrefectCassandraError,
    ResourceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LOCK_NAME = "jars.lock.json"
ANY_PLATFORM = "any"
PLATFORMS = ("linux-x86_64", "linux-aarch64", "macos-x86_64", "macos-aarch64")

_PARALLEL = 8
_ATTEMPTS = 3
_READ_TIMEOUT = 30
_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Jar:
    """One file of the lock.

    Args:
        coordinates: `group:artifact:version`, with `:classifier` where there is one.
        size: Bytes.
        sha256: Hexadecimal digest of the whole file.
        platform: One of `PLATFORMS`, or `any`.
    """

    coordinates: str
    size: int
    sha256: str
    platform: str = ANY_PLATFORM

    @property
    def file_name(self) -> str:
        """Return the name Maven repositories give the file."""
        return "-".join(self.coordinates.split(":")[1:]) + ".jar"


@dataclass(frozen=True, slots=True)
class JarLock:
    """The version of Cassandra and all its jars, for every platform."""

    cassandra: str
    jars: tuple[Jar, ...]

    def for_platform(self, name: str) -> tuple[Jar, ...]:
        """Return what one platform needs, in the order of the file names.

        The order is part of the class path, and with it of the class-data archive's identity.
        """
        chosen = (jar for jar in self.jars if jar.platform in {ANY_PLATFORM, name})
        return tuple(sorted(chosen, key=lambda jar: jar.file_name))


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is; what is there already counts as done."""

    jars_done: int
    jars_total: int
    bytes_done: int
    bytes_total: int


@cache
def read_lock() -> JarLock:
    """Read the lock that belongs to this version of the package."""
    text = resources.files(__package__).joinpath(LOCK_NAME).read_text(encoding="utf-8")
    data = json.loads(text)
    return JarLock(data["cassandra"], tuple(Jar(**jar) for jar in data["jars"]))


def current_platform(system: str = "", machine: str = "") -> str:
    """Name this machine the way the lock does.

    Raises:
        ResourceError: There are no native libraries for this machine.
    """
    system = system or platform.system()
    machine = machine or platform.machine()
    os_name = {"Linux": "linux", "Darwin": "macos"}.get(system, system.lower())
    cpu = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())
    name = f"{os_name}-{cpu}"
    if name not in PLATFORMS:
        raise ResourceError(
            f"A local Cassandra does not run on {name}: there are jars for {', '.join(PLATFORMS)}.",
            hint="Use WSL on Windows, or point CassandraCluster at a Cassandra elsewhere.",
        )
    return name


def jar_folder(cache_folder: Path) -> Path:
    """Return the folder of the locked version's jars."""
    return cache_folder / "jars" / read_lock().cassandra


def missing_jars(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    """List what is absent or has another size than the lock says."""

    def right(jar: Jar) -> bool:
        path = folder / jar.file_name
        return path.is_file() and path.stat().st_size == jar.size

    return [jar for jar in jars if not right(jar)]


def ensure_jars(
    cache_folder: Path,
    *,
    repository: str = "",
    on_progress: Callable[[DownloadProgress], None] | None = None,
) -> list[Path]:
    """Download what is missing and return the class path, in the lock's order.

    Safe in several processes at once: one downloads, the others wait and find everything there.
    What was verified before an interruption is kept.

    Args:
        cache_folder: Folder for downloads; the jars go to `jars/<version>` in it.
        repository: Address of a Maven repository; empty means the public one.
        on_progress: Called from the downloading threads, one call at a time.

    Raises:
        DownloadError: A jar is not to be had, was cut off or is not the one in the lock.
    """
    jars = read_lock().for_platform(current_platform())
    folder = jar_folder(cache_folder)
    if missing_jars(folder, jars):
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder / ".lock"):
            download_jars(folder, jars, repository=repository, on_progress=on_progress)
    return [folder / jar.file_name for jar in jars]


def download_jars(
    folder: Path,
    jars: Sequence[Jar],
    *,
    repository: str = "",
    on_progress: Callable[[DownloadProgress], None] | None = None,
) -> None:
    """Download the jars that are missing from `folder`, several at a time.

    The caller holds the folder's lock. See `ensure_jars`.
    """
    incoming = folder / ".incoming"
    # Left by a process that was killed: no other can be at work, for we hold the lock.
    shutil.rmtree(incoming, ignore_errors=True)
    missing = missing_jars(folder, jars)
    tally = _Tally(jars, missing, on_progress)
    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="jars")
    try:
        under_way = [
            pool.submit(_fetch, jar, folder, incoming / str(number), repository, tally)
            for number, jar in enumerate(missing)
        ]
        done, _ = wait(under_way, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(incoming, ignore_errors=True)


def check_jar(path: Path, jar: Jar, repository: str = "") -> None:
    """Compare a file with the lock.

    Raises:
        DownloadError: Size or checksum differ; names the jar, what was expected and what came.
    """
    origin = _origin(repository)
    size = path.stat().st_size
    if size != jar.size:
        raise DownloadError(
            f"{jar.coordinates} from {origin} has {size} bytes, expected {jar.size}.",
            hint="The download was cut off or a proxy answered instead; run the command again.",
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != jar.sha256:
        raise DownloadError(
            f"{jar.coordinates} from {origin} has SHA-256 {digest}, expected {jar.sha256}.",
            hint=(
                "It is not the jar this package was tested with. Check the mirror set in "
                "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_MAVEN_REPOSITORY, or unset it."
            ),
        )


def _fetch(jar: Jar, folder: Path, incoming: Path, repository: str, tally: _Tally) -> None:
    """Download one jar into a folder of its own, check it, and only then give it its name."""
    for attempt in range(1, _ATTEMPTS + 1):
        counted = tally.jar()
        try:
            path = _download(jar, incoming, repository, counted)
            break
        except Exception as error:  # noqa: BLE001 -- raised again, explained
            counted.take_back()
            shutil.rmtree(incoming, ignore_errors=True)
            if attempt == _ATTEMPTS or not _worth_repeating(error):
                # Not chained: jgo's own text may show the mirror's password.
                raise _explained(jar, repository, error) from None
            time.sleep(_PAUSE * attempt)
    check_jar(path, jar, repository)
    path.replace(folder / jar.file_name)
    shutil.rmtree(incoming, ignore_errors=True)
    counted.finish()


def _download(jar: Jar, incoming: Path, repository: str, counted: _Counted) -> Path:
    """Let jgo put the file somewhere under `incoming`."""
    maven = maven_library()
    resolver = maven.PythonResolver(progress_callback=lambda _name, _size: counted.watch())
    context = maven.MavenContext(
        resolver=resolver,
        repo_cache=incoming,
        remote_repos={"mirror": repository.rstrip("/")} if repository else None,
        timeout=_READ_TIMEOUT,
    )
    group, artifact, version, *classifier = jar.coordinates.split(":")
    component = context.project(group, artifact).at_version(version)
    path: Path = component.artifact(classifier=classifier[0] if classifier else "").resolve()
    return path


def maven_library() -> Any:
    """Return jgo's Maven module.

    Raises:
        ConfigurationError: The extra `local` is not installed.
    """
    try:
        return import_module("jgo.maven")
    except ImportError as error:
        raise ConfigurationError(
            f"A local Cassandra needs the extra 'local' of this package: {error}.",
            hint="pip install 'prefect-cassandra[local]'",
        ) from error


def _worth_repeating(error: Exception) -> bool:
    """Tell a broken line, which a repeat may mend, from a plain answer or a full disk."""
    requests = import_module("requests")
    return isinstance(error, requests.RequestException)


def _explained(jar: Jar, repository: str, error: Exception) -> Exception:
    if isinstance(error, PrefectCassandraError):
        # Ours: the extra is missing, or the listener calls the download off.
        return error
    reason = str(error).replace(repository, _origin(repository)) if repository else str(error)
    hint = (
        "Check the network and the proxy variables, or name a mirror in "
        "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_MAVEN_REPOSITORY; then run the command again: "
        "what is verified is kept."
    )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        hint = (
            "Free some disk, or name a folder on another one in "
            "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_CACHE_FOLDER."
        )
    return DownloadError(
        f"{jar.coordinates} could not be downloaded from {_origin(repository)}: {reason}",
        hint=hint,
    )


def _origin(repository: str) -> str:
    """Name a repository without the user and password its address may hold."""
    if not repository:
        return "the public Maven repository"
    parts = urlsplit(repository)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; the kernel lets go of it even when this process is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Tally:
    """Adds up what several threads download and tells the listener."""

    def __init__(
        self,
        jars: Sequence[Jar],
        missing: Sequence[Jar],
        listener: Callable[[DownloadProgress], None] | None,
    ) -> None:
        self._lock = threading.Lock()
        self._listener = listener
        self._jars_total = len(jars)
        self._bytes_total = sum(jar.size for jar in jars)
        self._jars_done = len(jars) - len(missing)
        self._bytes_done = self._bytes_total - sum(jar.size for jar in missing)

    def jar(self) -> _Counted:
        return _Counted(self)

    def add(self, count: int, jars: int = 0) -> None:
        with self._lock:
            self._bytes_done += count
            self._jars_done += jars
            if self._listener:
                self._listener(
                    DownloadProgress(
                        self._jars_done, self._jars_total, self._bytes_done, self._bytes_total
                    )
                )


class _Counted:
    """What one attempt at one jar added to the tally, so that a failed one can be taken back."""

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally
        self._bytes = 0

    @contextmanager
    def watch(self) -> Iterator[Callable[[int], None]]:
        yield self._add

    def _add(self, count: int) -> None:
        self._bytes += count
        self._tally.add(count)

    def take_back(self) -> None:
        self._tally.add(-self._bytes)

    def finish(self) -> None:
        self._tally.add(0, jars=1)
