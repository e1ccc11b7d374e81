"""Which files a URL means, and how each is opened: local or far, packed or not."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from prefect_cassandra.errors import ConfigurationError, DataError, UnreachableError
from prefect_cassandra.reads.urls import without_login

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect_cassandra.writes.files import Files, Format

_BY_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
_REFUSED = (".zip", ".7z", ".rar", ".xz", ".tar", ".tgz", ".z")
_GLOB_MARKS = "*?["
_HIDDEN = (".", "_")
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    Attributes:
        url: What names it again.
        path: Its name in its file system.
        size: Its bytes as they are stored.
        format: What is in it.
        codec: What it is packed with, as pyarrow calls it; empty when it is not.
        tabs: Whether its name says that tabs are between its cells.
        system: The fsspec file system.
    """

    url: str
    path: str
    size: int
    format: Format
    codec: str
    tabs: bool
    system: Any = field(repr=False, compare=False)

    @property
    def shown(self) -> str:
        """What to call it."""
        return without_login(self.url)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Open it for reading, unpacked; a pyarrow or Python file of bytes.

        What it raises is Arrow's or the system's: see `reading`.
        """
        with ExitStack() as stack:
            if is_local(self.system):
                file: Any = stack.enter_context(pa.OSFile(self.path, "rb"))
            else:
                file = stack.enter_context(self.system.open(self.path, "rb"))
            if self.codec:
                file = stack.enter_context(pa.CompressedInputStream(file, self.codec))
            yield file


def found(files: Files) -> list[File]:
    """Return the files that are meant, in order.

    Raises:
        ConfigurationError: There are none, or not all have one known format.
        UnreachableError: Their store does not answer.
    """
    urls = [files.urls] if isinstance(files.urls, str) else files.urls
    listed = [file for url in urls for file in _below(str(url), files)]
    if not listed:
        raise ConfigurationError("There is no file to load.", hint="Name at least one URL.")
    return listed


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Turn what opening and reading a file can raise into errors that name it."""
    shown = without_login(url)
    try:
        yield
    except FileNotFoundError:
        raise ConfigurationError(f"There is no file {shown}", hint="Look at the path.") from None
    except PermissionError as error:
        raise ConfigurationError(
            f"{shown} must not be read: {_said(error)}",
            hint="Look at its rights or at your login.",
        ) from error
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{shown} cannot be read: {_said(error)}",
            hint="Nothing of the part of the file where it is broken was sent.",
        ) from error
    except OSError as error:
        if "ompressed" in str(error):  # Arrow's word for a file that ends too early or is no gzip
            raise DataError(
                f"{shown} is broken: {_said(error)}",
                hint="Fetch or pack it again; it may be cut off.",
            ) from error
        raise UnreachableError(
            f"{shown} cannot be read: {_said(error)}",
            hint="Try again; rows that arrived stay as they are.",
        ) from error


def _said(error: Exception) -> str:
    return without_login(str(error))


def is_local(system: Any) -> bool:
    """Tell whether files of this system are files of this machine."""
    protocols = system.protocol
    return "file" in ((protocols,) if isinstance(protocols, str) else protocols)


def file_system(url: str, storage_options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the fsspec file system of a URL and the path in it.

    Raises:
        ConfigurationError: The kind of URL is not known, or its package is not installed.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415 -- only loads from files pay for it

    try:
        system, path = url_to_fs(url, **storage_options)
    except ImportError as error:
        package = _PACKAGES.get(url.split("://", maxsplit=1)[0], "")
        raise ConfigurationError(
            f"{without_login(url)} needs a package that is not installed: {error}",
            hint=f"pip install {package}" if package else "Install it.",
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{without_login(url)} cannot be opened: {_said(error)}",
            hint="Use a path, or a URL and storage options that fsspec knows.",
        ) from error
    return system, str(path)


def _below(url: str, files: Files) -> list[File]:
    """Return the files that one URL means."""
    system, path = file_system(url, files.storage_options)
    with reading(url):
        # A name may hold what would be a mark in a glob: what is there goes first.
        if system.isfile(path):
            return [_file(system, system.info(path), files)]
        if any(mark in path for mark in _GLOB_MARKS) and not system.isdir(path):
            root, asked = _cut_glob(path)
            listed = system.glob(path, detail=True).values()
        else:
            root, asked = path, ""
            listed = system.find(path, detail=True).values()
        infos = [info for info in listed if _is_wanted(info, root, asked, files)]
    shown = without_login(url)
    if not infos:
        raise ConfigurationError(
            f"There is no file to load at {shown}",
            hint="Look at the path, quote a glob in the shell, or name the format.",
        )
    result = [_file(system, info, files) for info in infos]
    formats = sorted({file.format for file in result})
    if len(formats) > 1:
        raise ConfigurationError(
            f"{shown} holds files of several formats: {', '.join(formats)}",
            hint="Use a glob such as 'FOLDER/*.parquet'.",
        )
    return sorted(result, key=lambda file: file.path)


def _cut_glob(path: str) -> tuple[str, str]:
    """Return the folder in front of the first part of a path that is a pattern, and the rest."""
    parts = path.split("/")
    first = next(n for n, part in enumerate(parts) if any(mark in part for mark in _GLOB_MARKS))
    return "/".join(parts[:first]), "/".join(parts[first:])


def _is_wanted(info: Mapping[str, Any], root: str, asked: str, files: Files) -> bool:
    """Leave out folders, hidden files and, of a folder, what has no name of a known format.

    Args:
        info: What the file system says of it.
        root: The folder that was named; it may be hidden itself.
        asked: The pattern below it; a pattern of hidden names means them.
        files: What may name the format.
    """
    if info.get("type") == "directory":
        return False
    below = PurePosixPath(str(info["name"]).removeprefix(root))
    meant = tuple(part[0] for part in asked.split("/") if part.startswith(_HIDDEN))
    if any(part.startswith(_HIDDEN) and not part.startswith(meant) for part in below.parts):
        return False
    # One manifest of JSON may lie beside the files of an unload; nobody loads it as rows.
    return below.name != "manifest.json" and (
        files.format is not None or _format(below) is not None
    )


def _format(name: PurePosixPath) -> Format | None:
    bare = name.with_suffix("") if name.suffix.lower() in _CODECS else name
    return _BY_SUFFIX.get(bare.suffix.lower())


def _file(system: Any, info: Mapping[str, Any], files: Files) -> File:
    path = str(info["name"])
    name = PurePosixPath(path)
    url = path if is_local(system) else str(system.unstrip_protocol(path))
    if name.suffix.lower() in _REFUSED:
        raise ConfigurationError(
            f"{without_login(url)} is packed in a form that is not read here.",
            hint=f"Unpack it, or pack it as {', '.join(_CODECS)}.",
        )
    kind = files.format or _format(name)
    if kind is None:
        raise ConfigurationError(
            f"The name of {without_login(url)} does not tell its format.",
            hint="Name the format: csv, json, parquet or arrow.",
        )
    codec = _CODECS.get(name.suffix.lower(), "")
    tabs = ".tsv" in (suffix.lower() for suffix in name.suffixes)
    return File(url, path, int(info.get("size") or 0), kind, codec, tabs, system)
