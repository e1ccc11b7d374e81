"""A folder of files on any file system, in which a file is there as a whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.urls import without_login

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Destination:
    """Where an unload writes to.

    Args:
        url: Folder on a file system that fsspec knows; a plain path is local.
        storage_options: For fsspec, to open it.

    Attributes:
        url: The same without the login that it may hold.

    Raises:
        ConfigurationError: No file system answers to the URL, or its package is not installed.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        whole = url.rstrip("/") or url
        self.url = without_login(whole)
        try:
            self._files, self._root = url_to_fs(whole, **(storage_options or {}))
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"{self.url!r} cannot be opened: {without_login(str(error))}.",
                hint="Install the fsspec package of that file system, s3fs for s3://, say.",
            ) from error
        self._local = isinstance(self._files, LocalFileSystem)

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """Give a local path to write to, and publish it under `name` when the block ends well.

        On a local file system that is a rename within the folder, elsewhere one upload: an object
        store shows an object once its upload is complete. After an error nothing is left.
        """
        if self._local:
            folder = Path(self._root) / "_unload"
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(tempfile.gettempdir())
        path = folder / f"writing-{uuid.uuid4().hex}"
        try:
            yield path
            self._publish(path, name)
        finally:
            path.unlink(missing_ok=True)

    def _publish(self, path: Path, name: str) -> None:
        if not self._local:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.put_file(str(path), self._path(name))
            return
        with path.open("rb") as written:
            os.fsync(written.fileno())
        final = Path(self._path(name))
        final.parent.mkdir(parents=True, exist_ok=True)
        path.replace(final)

    def write_json(self, name: str, value: object) -> None:
        """Write a small file as a whole."""
        with self.new_file(name) as path:
            path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")

    def read_json(self, name: str) -> Any:
        """Return what a small file holds; None when there is none.

        Raises:
            ConfigurationError: It is no JSON, so it was not written by an unload.
        """
        try:
            text = self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigurationError(
                f"{self.url}/{name} is damaged: {error}.", hint="Unload into another folder."
            ) from error

    def names(self, folder: str = "") -> dict[str, int]:
        """Return names and sizes of the files in the folder, or in one folder of it."""
        path = self._path(folder) if folder else self._root
        self._files.invalidate_cache(path)
        try:
            found = self._files.ls(path, detail=True)
        except FileNotFoundError:
            return {}
        return {
            entry["name"].rpartition("/")[2]: int(entry["size"] or 0)
            for entry in found
            if entry["type"] == "file"
        }

    def remove(self, names: list[str]) -> None:
        """Remove files; one that is not there is no error."""
        for name in names:
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                continue

    def remove_folder(self, name: str) -> None:
        """Remove a folder with what is in it; one that is not there is no error."""
        try:
            self._files.rm(self._path(name), recursive=True)
        except FileNotFoundError:
            return

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
