"""What a session is built from: frozen, hashable, picklable values and nothing live."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 -- a dataclass field; pydantic-style readers resolve it

from prefect_cassandra.errors import ConfigurationError

# The names of the CQL native protocol, section 3 of its specification ("consistency").
SERIAL_LEVELS = ("SERIAL", "LOCAL_SERIAL")
LEVELS = (
    "ANY",
    "ONE",
    "TWO",
    "THREE",
    "QUORUM",
    "ALL",
    "LOCAL_QUORUM",
    "EACH_QUORUM",
    "LOCAL_ONE",
    *SERIAL_LEVELS,
)


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in: a name and a password, or a folder of mounted files that holds both.

    Args:
        username: Role name.
        password: Its password; never shown by `repr`.
        folder: Folder with the files `username` and `password`, read on every new connection, so a
            rotated secret needs no restart.

    Raises:
        ConfigurationError: Neither or both ways are given.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    folder: Path | None = None

    def __post_init__(self) -> None:
        named = self.username is not None and self.password is not None
        half_named = (self.username is None) != (self.password is None)
        if half_named or named == (self.folder is not None):
            raise ConfigurationError(
                "A login needs either a user name and a password, or a folder.",
                hint="Give username and password, or the folder where both are mounted as files.",
            )


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections are encrypted and who is trusted; the files are PEM.

    Args:
        ca_file: Certificates of the trusted authorities; the system's own when not given.
        cert_file: This client's certificate chain, for mutual TLS.
        key_file: The key of `cert_file`, when it is not in the same file.
        verify_host: Whether the server's certificate must name the address connected to.
        server_name: The name to expect instead of the address; on Kubernetes a pod's address is
            rarely in its certificate.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify_host: bool = True
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often and how patiently one request is sent again.

    Args:
        attempts: Repeats after the first try; 0 never repeats.
        backoff: Seconds the first pause can last; doubles with each repeat, with full jitter.
        backoff_max: Seconds one pause can reach.
    """

    attempts: int = 5
    backoff: float = 0.1
    backoff_max: float = 5.0


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Everything a session needs to know about one cluster.

    Args:
        contact_points: Names or addresses to start from; names are resolved again when every
            known node has gone.
        port: CQL port of every node.
        local_datacenter: Datacenter whose nodes are used; inferred when the cluster has only one.
        consistency: Default consistency level.
        serial_consistency: `SERIAL` or `LOCAL_SERIAL`, for conditional writes.
        login: Who logs in, or nobody.
        tls: Encryption, or none.
        secure_connect_bundle: Zip file of Astra; replaces contact points and TLS.
        request_timeout: Seconds the client waits for one request.
        connect_timeout: Seconds to open and authenticate one connection.
        retry: How requests are repeated.
        only_contact_points: Whether the contact points, which are addresses then, are the only
            nodes to connect to: behind a forwarded port, others cannot be reached.

    Raises:
        ConfigurationError: The values contradict each other or name an unknown level.
    """

    contact_points: tuple[str, ...] = ()
    port: int = 9042
    local_datacenter: str | None = None
    consistency: str = "LOCAL_QUORUM"
    serial_consistency: str = "SERIAL"
    login: Login | None = None
    tls: Tls | None = None
    secure_connect_bundle: Path | None = None
    request_timeout: float = 20.0
    connect_timeout: float = 10.0
    retry: RetryRules = field(default_factory=RetryRules)
    only_contact_points: bool = False

    def __post_init__(self) -> None:
        # A list would make the value unhashable, and the session registry is keyed by it.
        object.__setattr__(self, "contact_points", tuple(self.contact_points))
        if self.secure_connect_bundle is not None and (self.contact_points or self.tls):
            raise ConfigurationError(
                "A secure-connect bundle brings its own contact points and TLS.",
                hint="Leave contact_points and tls out, or leave the bundle out.",
            )
        if self.secure_connect_bundle is None and not self.contact_points:
            raise ConfigurationError(
                "No contact points: nothing says where the cluster is.",
                hint="Give at least one host name or address in contact_points.",
            )
        check_level(self.consistency)
        check_level(self.serial_consistency, serial=True)


def check_level(name: str, *, serial: bool = False) -> str:
    """Return `name` when it is a consistency level.

    Raises:
        ConfigurationError: It is not; the message lists those that are.
    """
    known = SERIAL_LEVELS if serial else LEVELS
    if name not in known:
        kind = "serial consistency level" if serial else "consistency level"
        raise ConfigurationError(
            f"{name!r} is not a {kind}.", hint=f"Use one of: {', '.join(known)}."
        )
    return name
