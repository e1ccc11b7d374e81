"""The options by which a person says which database is meant, and as whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 -- read by the parser
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.driver.session import Session


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Where a database is; without contact points the stack that runs on this machine."""

    contact_points: Annotated[
        tuple[str, ...],
        Parameter(help="Names or addresses of nodes.", consume_multiple=True, negative=()),
    ] = ()
    port: Annotated[int, Parameter(help="CQL port of the nodes.")] = 9042
    login_folder: Annotated[
        Path | None, Parameter(help="Folder with the files username and password.")
    ] = None
    ca_file: Annotated[
        Path | None, Parameter(help="Certificates to trust (PEM); encrypts the connection.")
    ] = None
    tls: Annotated[
        bool, Parameter(negative=(), help="Encrypt, and trust the authorities of the system.")
    ] = False
    verify_host: Annotated[
        bool, Parameter(help="Whether a node's certificate must name its address.")
    ] = True
    server_name: Annotated[
        str | None, Parameter(help="Name that certificates have instead of addresses.")
    ] = None
    local_datacenter: Annotated[
        str | None, Parameter(help="Datacenter to talk to, where there are several.")
    ] = None
    data: Annotated[
        Path | None, Parameter(help="Data folder of the local stack, when it is not the usual one.")
    ] = None

    def config(self, login: Path | None) -> ClusterConfig:
        """Build the connection from the options.

        Args:
            login: Folder of the login; none for a cluster that asks for none.
        """
        from prefect_cassandra.driver.config import ClusterConfig, Login, Tls

        tls = Tls(ca_file=self.ca_file, verify_host=self.verify_host, server_name=self.server_name)
        return ClusterConfig(
            contact_points=self.contact_points,
            port=self.port,
            local_datacenter=self.local_datacenter,
            login=None if login is None else Login(folder=login),
            tls=tls if self.tls or self.ca_file else None,
        )

    def ledger_config(self) -> ClusterConfig:
        """Build the connection for the ledger; on the stack of this machine as superuser.

        Raises:
            DataFolderError: No nodes are named, and no stack runs on this machine.
        """
        if self.contact_points:
            return self.config(self.login_folder)
        return self.local_config()

    def local_config(self, role: str = "superuser") -> ClusterConfig:
        """Return the connection to the stack that runs on this machine.

        Args:
            role: Whose login to take, the superuser's where the stack has none; a login folder that
                was named comes first.

        Raises:
            DataFolderError: No stack runs.
        """
        from dataclasses import replace

        from prefect_cassandra.driver.config import Login
        from prefect_cassandra.local.plan import data_folder
        from prefect_cassandra.local.supervisor import require_running
        from prefect_cassandra.local.tools import cassandra_of

        folder = data_folder(self.data)
        if not (folder / "secrets" / role).is_dir():
            role = "superuser"
        config = cassandra_of(folder, require_running(folder), folder).cluster_config(role)
        if self.login_folder is None:
            return config
        return replace(config, login=Login(folder=self.login_folder))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Database(Nodes):
    """Where rows come from or go to: nodes, a block of Prefect, or the local stack."""

    block: Annotated[
        str | None, Parameter(help="Name of a CassandraCluster block, instead of contact points.")
    ] = None

    def session(self, table: str, *, writes: bool) -> tuple[Session, str | None]:
        """Return the session and the keyspace of tables named without one.

        On the local stack it logs in as the keyspace's own role where there is one, the one that
        flows have for writing and the one that only reads for reading; else as the superuser.

        Raises:
            ConfigurationError: Two places are named.
            DataFolderError: None is named, and no stack runs on this machine.
        """
        from prefect_cassandra.driver.sharing import shared_session

        if self.block is not None:
            return self._of_block(self.block)
        if self.contact_points:
            return shared_session(self.config(self.login_folder)), None
        return shared_session(self._local(table, writes=writes)), None

    def ledger_session(self) -> Session:
        """Return a session for the ledger alone; on the local stack as superuser.

        Raises:
            ConfigurationError: Two places are named.
            DataFolderError: None is named, and no stack runs on this machine.
        """
        from prefect_cassandra.driver.sharing import shared_session

        if self.block is not None:
            return self._of_block(self.block)[0]
        return shared_session(self.ledger_config())

    def _of_block(self, name: str) -> tuple[Session, str | None]:
        if self.contact_points:
            raise ConfigurationError(
                "--block and --contact-points name two databases.", hint="Leave one out."
            )
        return _of_block(name)

    def _local(self, table: str, *, writes: bool) -> ClusterConfig:
        from prefect_cassandra.driver.identifiers import qualified
        from prefect_cassandra.schema import flow_role, reader_role

        keyspace, _ = qualified(table, None)
        return self.local_config((flow_role if writes else reader_role)(keyspace))


def _of_block(name: str) -> tuple[Session, str | None]:
    from prefect_cassandra.blocks import CassandraCluster

    try:
        block = CassandraCluster.load(name)
    except ValueError as error:
        raise ConfigurationError(
            f"There is no CassandraCluster block {name!r}: {error}",
            hint="`prefect block ls` lists the blocks of the server that PREFECT_API_URL names.",
        ) from error
    return block.session(), block.keyspace
