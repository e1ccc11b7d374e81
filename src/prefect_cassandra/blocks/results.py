"""The storage block for results: what Prefect sees of `state/results.py`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prefect.filesystems import WritableFileSystem
from pydantic import ConfigDict, Field, HttpUrl

from prefect_cassandra.blocks.cluster import (
    CassandraCluster,  # noqa: TC001 -- pydantic reads the annotation
)

if TYPE_CHECKING:
    from prefect_cassandra.state.results import Results

_DAY = 86_400


class CassandraResultStorage(WritableFileSystem):
    """Keeps the results of flows and tasks in Cassandra, under their storage keys.

    For `result_storage=`, for cache policies' `key_storage=`, for transactions, or as the default
    storage of a server or profile. A result has at most 256 MiB; it comes back whole and checked,
    or not at all. Several processes may write one key at the same moment: a reader gets the value
    of one of them. A write under a lock of `CassandraLockManager` on the same cluster is refused
    when that lock was lost.

    Methods come in pairs: `read_path` blocks, `await aread_path` does not.

    Example:
        ```python
        from prefect_cassandra import CassandraResultStorage

        storage = CassandraResultStorage.load("BLOCK_NAME")
        storage.write_path("greeting", b"hello")
        ```
    """

    model_config = ConfigDict(hide_input_in_errors=True, extra="forbid")

    _block_type_name: ClassVar[str | None] = "Cassandra Result Storage"
    _block_type_slug: ClassVar[str | None] = "cassandra-result-storage"
    _logo_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://avatars.githubusercontent.com/u/47359?s=200&v=4"
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://docs.prefect.io/v3/advanced/results"
    )

    if TYPE_CHECKING:

        @classmethod
        def load(cls, name: str, *args: Any, **kwargs: Any) -> Self:
            """Load the block that was saved under a name."""

    cluster: CassandraCluster = Field(
        default=...,
        description="The cluster, with a login that may use the keyspace prefect_state.",
    )
    retention_days: float | None = Field(
        default=30.0,
        gt=0,
        le=7000,
        description=(
            "Days for which a result is kept after it was written, fractions too; for ever when "
            "absent. A cached result is computed again and a run cannot be retried from its failed "
            "task once their results are gone."
        ),
    )

    # Prefect hands `_sync=True` to the blocking calls of every storage.

    def read_path(self, path: str, *, _sync: bool = True) -> bytes:  # type: ignore[override]
        """Return what is kept under a key.

        Args:
            path: The storage key; no folders are meant by slashes in it.

        Raises:
            ResultMissingError: Nothing is kept there. It is a ValueError.
            ResultDamagedError: It is not what was written.
            StateError: The cluster keeps no results, or not for this role.
        """
        return self._results().read(path)

    async def aread_path(self, path: str) -> bytes:
        """Do what `read_path` does, without blocking the event loop."""
        return await asyncio.to_thread(self.read_path, path)

    def write_path(self, path: str, content: bytes, *, _sync: bool = True) -> None:  # type: ignore[override]
        """Keep `content` under a key, in place of what was there.

        Args:
            path: The storage key.
            content: At most 256 MiB.

        Raises:
            ResultTooLargeError: It is larger; nothing was written.
            LockLostError: This process held a lock on the key and lost it; nothing was written.
            StateError: The cluster keeps no results, or not for this role.
            OutcomeUnknownError: It may or may not be written; writing it again is safe.
        """
        # The driver's import is paid on first use.
        from prefect_cassandra.state.leases import fence_of  # noqa: PLC0415

        results = self._results()
        results.write(path, content, fence_of(results.session.config, path))

    async def awrite_path(self, path: str, content: bytes) -> None:
        """Do what `write_path` does, without blocking the event loop."""
        await asyncio.to_thread(self.write_path, path, content)

    def exists(self, path: str) -> bool:
        """Say whether something is kept under a key, without reading it.

        Prefect 3.8 itself still asks by reading the whole result.
        """
        return self._results().exists(path)

    async def aexists(self, path: str) -> bool:
        """Do what `exists` does, without blocking the event loop."""
        return await asyncio.to_thread(self.exists, path)

    def _resolve_path(self, _path: str) -> None:
        """Tell Prefect that keys are no paths: of a block not saved it asks for the file's name."""

    def _results(self) -> Results:
        from prefect_cassandra.state.access import state_session  # noqa: PLC0415
        from prefect_cassandra.state.results import Results  # noqa: PLC0415

        ttl = max(1, round(self.retention_days * _DAY)) if self.retention_days else 0
        return Results(state_session(self.cluster.config()), ttl)
