"""Prefect blocks: who logs in, and to which cluster.

A block holds plain values only. Live connections belong to the process (see
`prefect_cassandra.driver.sharing`), so a block travels to a subprocess or another pod as it is and
finds that process's own session there.
"""

from __future__ import annotations

import asyncio
import re
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prefect.blocks.abstract import CredentialsBlock, DatabaseBlock
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from prefect_cassandra.blocks.levels import Consistency, SerialConsistency
from prefect_cassandra.driver.config import ClusterConfig, Login, RetryRules, Tls
from prefect_cassandra.reads.cursors import Cursors
from prefect_cassandra.settings import DriverSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prefect_cassandra.driver.session import Session

    Parameters = Sequence[Any] | Mapping[str, Any] | None
    Row = tuple[Any, ...]

_LOGO = HttpUrl("https://avatars.githubusercontent.com/u/47359?s=200&v=4")
_ABOUT_BLOCKS = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
# The server's own rule for keyspace names (SchemaConstants.PATTERN_WORD_CHARS, 48 characters).
_KEYSPACE_NAME = re.compile(r"[A-Za-z0-9_]{1,48}")


class CassandraCredentials(CredentialsBlock):
    """Who logs in to a Cassandra cluster.

    Either a user name and a password kept in this block, or a folder with the files `username` and
    `password`, as Kubernetes mounts a Secret. The folder is read for every new connection, so a
    rotated password needs no restart.

    Example:
        ```python
        from prefect_cassandra import CassandraCredentials

        credentials = CassandraCredentials.load("BLOCK_NAME")
        ```
    """

    # Otherwise a mistake in one field prints all of them, the password too.
    model_config = ConfigDict(hide_input_in_errors=True, extra="forbid")

    _block_type_name: ClassVar[str | None] = "Cassandra Credentials"
    _block_type_slug: ClassVar[str | None] = "cassandra-credentials"
    _logo_url: ClassVar[HttpUrl | None] = _LOGO
    _documentation_url: ClassVar[HttpUrl | None] = _ABOUT_BLOCKS

    if TYPE_CHECKING:
        # Prefect's types leave open whether the result must be awaited; in a blocking flow it must
        # not, and an asynchronous one has `aload`.
        @classmethod
        def load(cls, name: str, *args: Any, **kwargs: Any) -> Self:
            """Load the block that was saved under a name."""

    username: str | None = Field(default=None, description="Name of the database role.")
    password: SecretStr | None = Field(
        default=None, description="Password of the role; kept encrypted by the Prefect server."
    )
    folder: Path | None = Field(
        default=None,
        description=(
            "Folder with the files `username` and `password`, read for every new connection, "
            "instead of the two fields above."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _without_prefects_own(cls, values: Any) -> Any:
        """Leave out what Prefect adds to a block inside a block when it is loaded."""
        return _without_slug(values)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        """Accept the folder or the pair, never both, half or none."""
        literal = (self.username is not None, self.password is not None)
        if self.folder is not None and any(literal):
            raise ValueError(
                "`folder` excludes `username` and `password`: the files in it hold both"
            )
        if self.folder is None and not all(literal):
            raise ValueError("give `username` and `password`, or `folder`")
        return self

    def get_client(self, *_args: Any, **_kwargs: Any) -> Login:
        """Return the login in the form the driver room takes; nothing is opened or read."""
        return Login(
            username=self.username,
            password=self.password.get_secret_value() if self.password else None,
            folder=self.folder,
        )


class CassandraTls(BaseModel):
    """How connections are encrypted and whose certificates are trusted."""

    model_config = ConfigDict(extra="forbid")

    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; the system's when absent."
    )
    cert_file: Path | None = Field(
        default=None, description="PEM file of the client's certificate, for mutual TLS."
    )
    key_file: Path | None = Field(
        default=None, description="PEM file of the client's private key, for mutual TLS."
    )
    verify_host: bool = Field(
        default=True, description="Whether the certificate must name the node."
    )
    server_name: str | None = Field(
        default=None,
        description=(
            "Name to look for in the certificate instead of the node's address; pod addresses are "
            "in no certificate."
        ),
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        """Refuse half of a client certificate."""
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` go together")
        return self


class CassandraCluster(DatabaseBlock):
    """An Apache Cassandra cluster and how to talk to it.

    Blocks with the same values share one session per process, opened on first use. Methods come in
    pairs: `fetch_all` blocks, `await afetch_all` does not, as Prefect's own `load` and `aload`.

    Example:
        ```python
        from prefect_cassandra import CassandraCluster

        cluster = CassandraCluster.load("BLOCK_NAME")
        rows = cluster.fetch_all("SELECT name FROM flights.airports WHERE faa = ?", ["JFK"])
        ```
    """

    # The input may hold a whole credentials block, and a misspelt field must not be ignored.
    model_config = ConfigDict(hide_input_in_errors=True, extra="forbid")

    _block_type_name: ClassVar[str | None] = "Cassandra Cluster"
    _block_type_slug: ClassVar[str | None] = "cassandra-cluster"
    _logo_url: ClassVar[HttpUrl | None] = _LOGO
    _documentation_url: ClassVar[HttpUrl | None] = _ABOUT_BLOCKS

    if TYPE_CHECKING:

        @classmethod
        def load(cls, name: str, *args: Any, **kwargs: Any) -> Self:
            """Load the block that was saved under a name."""

    contact_points: list[str] = Field(
        default_factory=list,
        description="Host names or addresses of some nodes, without a port; the rest are found.",
    )
    port: int = Field(default=9042, gt=0, lt=65536, description="Port for CQL on every node.")
    local_datacenter: str | None = Field(
        default=None,
        description=("Datacenter whose nodes answer; may be absent when the cluster has only one."),
    )
    keyspace: str | None = Field(
        default=None, description="Keyspace of tables that are named without one in `load_table`."
    )
    consistency: Consistency = Field(
        default=Consistency.LOCAL_QUORUM, description="Consistency level of reads and writes."
    )
    serial_consistency: SerialConsistency = Field(
        default=SerialConsistency.SERIAL, description="Consistency level of conditional writes."
    )
    credentials: CassandraCredentials | None = Field(
        default=None, description="Who logs in; a cluster without authentication needs none."
    )
    tls: CassandraTls | None = Field(
        default=None, description="How connections are encrypted; plain text when absent."
    )
    secure_connect_bundle: Path | None = Field(
        default=None,
        description="Zip file that Astra hands out; it names the nodes and holds the certificates.",
    )
    request_timeout: float | None = Field(
        default=None, gt=0, description="Seconds to wait for one request; the setting when absent."
    )

    _cursors: Cursors = PrivateAttr(default_factory=Cursors)

    @model_validator(mode="before")
    @classmethod
    def _without_prefects_own(cls, values: Any) -> Any:
        """Leave out what Prefect adds to a block inside a block when it is loaded."""
        return _without_slug(values)

    @field_validator("contact_points")
    @classmethod
    def _hosts_only(cls, points: list[str]) -> list[str]:
        """Refuse a port or an empty name in a contact point."""
        for point in points:
            if not point.strip():
                raise ValueError("a contact point is empty")
            if _has_port(point):
                raise ValueError(
                    f"contact point {point!r} carries a port; put the port into `port`, "
                    "which holds for every node"
                )
        return [point.strip() for point in points]

    @field_validator("keyspace")
    @classmethod
    def _valid_keyspace(cls, name: str | None) -> str | None:
        """Refuse what the server would not take as a keyspace name."""
        if name is not None and not _KEYSPACE_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no keyspace name: letters, digits and underscores, at most 48"
            )
        return name

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        """Accept contact points or a bundle, never both or none."""
        if self.secure_connect_bundle is not None:
            if self.contact_points or self.tls is not None:
                raise ValueError(
                    "`secure_connect_bundle` excludes `contact_points` and `tls`: it holds both"
                )
        elif not self.contact_points:
            raise ValueError("give at least one contact point, or a `secure_connect_bundle`")
        return self

    def config(self) -> ClusterConfig:
        """Return this block and the settings as what a session is built from."""
        settings = DriverSettings()
        return ClusterConfig(
            contact_points=tuple(self.contact_points),
            port=self.port,
            local_datacenter=self.local_datacenter,
            consistency=self.consistency.value,
            serial_consistency=self.serial_consistency.value,
            login=self.credentials.get_client() if self.credentials else None,
            tls=Tls(**self.tls.model_dump()) if self.tls else None,
            secure_connect_bundle=self.secure_connect_bundle,
            request_timeout=self.request_timeout or settings.request_timeout,
            connect_timeout=settings.connect_timeout,
            retry=RetryRules(
                attempts=settings.retry_attempts,
                backoff=settings.retry_backoff,
                backoff_max=settings.retry_backoff_max,
            ),
        )

    def session(self) -> Session:
        """Return the session that this process shares for this cluster; it connects when used."""
        # The driver and its event loop cost a quarter of a second to import: paid on first use.
        from prefect_cassandra.driver.sharing import shared_session  # noqa: PLC0415

        return shared_session(self.config())

    def close(self) -> None:
        """Close this process's session for this cluster, for all blocks with the same values.

        The next use opens a new one. Leaving a `with` block does not close: other tasks of this
        process may be using the session, and it is closed when the process ends.
        """
        self.reset_cursors()
        self.session().close()

    def reset_cursors(self) -> None:
        """Forget where `fetch_many` stopped, so that every statement starts again."""
        self._cursors.clear()

    # The base class declares its methods `async`, from the time when Prefect turned them into
    # blocking calls by looking at the caller. Here a name does one thing: the plain name blocks,
    # its twin with an `a` is awaited. Hence each `type: ignore[override]`.

    def fetch_one(  # type: ignore[override]
        self, operation: str, parameters: Parameters = None, **execution_kwargs: Any
    ) -> Row | None:
        """Run a query and return its first row as a tuple, or None.

        Args:
            operation: CQL with `?` or `:name` markers.
            parameters: A sequence for `?`, a mapping for names.
            execution_kwargs: `consistency`, `timeout`, `fetch_size` or `idempotent` of the session.
        """
        row = self.session().execute(operation, parameters, **execution_kwargs).one()
        return None if row is None else tuple(row.values())

    async def afetch_one(
        self, operation: str, parameters: Parameters = None, **execution_kwargs: Any
    ) -> Row | None:
        """Do what `fetch_one` does, without blocking the event loop."""
        session = await self._asession()
        row = (await session.aexecute(operation, parameters, **execution_kwargs)).one()
        return None if row is None else tuple(row.values())

    def fetch_many(  # type: ignore[override]
        self,
        operation: str,
        parameters: Parameters = None,
        size: int | None = None,
        **execution_kwargs: Any,
    ) -> list[Row]:
        """Return the next rows of a query; the same call again goes on where this one stopped.

        An empty list says that all rows were returned; the call after it runs the query anew. A
        process keeps the places of the 16 statements used last.

        Args:
            operation: CQL with `?` or `:name` markers.
            parameters: A sequence for `?`, a mapping for names.
            size: Number of rows; 1 when absent, as in PEP 249.
            execution_kwargs: `consistency`, `timeout`, `fetch_size` or `idempotent` of the session.
        """
        key = ("blocking", operation, parameters, execution_kwargs)
        cursor = self._cursors.take(key)
        if cursor is None:
            cursor = iter(self.session().execute(operation, parameters, **execution_kwargs))
        rows = [tuple(row.values()) for row in islice(cursor, 1 if size is None else size)]
        if rows:
            self._cursors.put(key, cursor)
        return rows

    async def afetch_many(
        self,
        operation: str,
        parameters: Parameters = None,
        size: int | None = None,
        **execution_kwargs: Any,
    ) -> list[Row]:
        """Do what `fetch_many` does, without blocking the event loop; its places are its own."""
        key = ("awaited", operation, parameters, execution_kwargs)
        cursor = self._cursors.take(key)
        if cursor is None:
            session = await self._asession()
            cursor = aiter(await session.aexecute(operation, parameters, **execution_kwargs))
        rows: list[Row] = []
        while len(rows) < (1 if size is None else size):
            row = await anext(cursor, None)
            if row is None:
                break
            rows.append(tuple(row.values()))
        if rows:
            self._cursors.put(key, cursor)
        return rows

    def fetch_all(  # type: ignore[override]
        self, operation: str, parameters: Parameters = None, **execution_kwargs: Any
    ) -> list[Row]:
        """Run a query and return all its rows as tuples.

        Args:
            operation: CQL with `?` or `:name` markers.
            parameters: A sequence for `?`, a mapping for names.
            execution_kwargs: `consistency`, `timeout`, `fetch_size` or `idempotent` of the session.
        """
        result = self.session().execute(operation, parameters, **execution_kwargs)
        return [tuple(row.values()) for row in result]

    async def afetch_all(
        self, operation: str, parameters: Parameters = None, **execution_kwargs: Any
    ) -> list[Row]:
        """Do what `fetch_all` does, without blocking the event loop."""
        session = await self._asession()
        result = await session.aexecute(operation, parameters, **execution_kwargs)
        return [tuple(row.values()) async for row in result]

    def execute(  # type: ignore[override]
        self, operation: str, parameters: Parameters = None, **execution_kwargs: Any
    ) -> None:
        """Run a statement that returns no rows.

        Args:
            operation: CQL with `?` or `:name` markers.
            parameters: A sequence for `?`, a mapping for names.
            execution_kwargs: `consistency`, `timeout` or `idempotent` of the session.

        Raises:
            OutcomeUnknownError: The write may or may not have been applied.
        """
        self.session().execute(operation, parameters, **execution_kwargs)

    async def aexecute(
        self, operation: str, parameters: Parameters = None, **execution_kwargs: Any
    ) -> None:
        """Do what `execute` does, without blocking the event loop."""
        session = await self._asession()
        await session.aexecute(operation, parameters, **execution_kwargs)

    def execute_many(  # type: ignore[override]
        self,
        operation: str,
        seq_of_parameters: Iterable[Sequence[Any] | Mapping[str, Any]],
        **execution_kwargs: Any,
    ) -> None:
        """Run one statement with many parameter sets, a bounded number of them at a time.

        The first failure stops it; what was sent before stays.

        Args:
            operation: CQL with `?` or `:name` markers.
            seq_of_parameters: Sequences or mappings, one per execution; may be an iterator.
            execution_kwargs: `in_flight` (the setting `requests_in_flight` where it is left out),
                `consistency`, `timeout` or `idempotent` of the session.
        """
        options = _in_flight() | execution_kwargs
        self.session().execute_many(operation, seq_of_parameters, **options)

    async def aexecute_many(
        self,
        operation: str,
        seq_of_parameters: Iterable[Sequence[Any] | Mapping[str, Any]],
        **execution_kwargs: Any,
    ) -> None:
        """Do what `execute_many` does, without blocking the event loop."""
        session = await self._asession()
        options = _in_flight() | execution_kwargs
        await session.aexecute_many(operation, seq_of_parameters, **options)

    async def _asession(self) -> Session:
        """Return the session; a thread imports the driver, which takes a moment the first time."""
        return await asyncio.to_thread(self.session)

    def __enter__(self) -> Self:
        """Connect, so that a cluster out of reach is known before any work is done."""
        self.session().connect()
        return self

    def __exit__(self, *_args: object) -> None:
        """Forget the cursors; the shared session stays."""
        self.reset_cursors()

    async def __aenter__(self) -> Self:
        """Connect, so that a cluster out of reach is known before any work is done."""
        session = await self._asession()
        await asyncio.to_thread(session.connect)
        return self

    async def __aexit__(self, *_args: object) -> None:
        """Forget the cursors; the shared session stays."""
        self.reset_cursors()


def _without_slug(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: value for name, value in values.items() if name != "block_type_slug"}
    return values


def _has_port(point: str) -> bool:
    """Tell `host:9042` and `[::1]:9042` from a bare IPv6 address."""
    if ":" not in point:
        return False
    try:
        ip_address(point.strip())
    except ValueError:
        return True
    return False


def _in_flight() -> dict[str, int]:
    return {"in_flight": DriverSettings().requests_in_flight}
