"""What the chart says of a release: where its database and server are, what its Secrets are called.

The chart writes it into a ConfigMap, because most of it depends on the values of the installation:
names of Secrets that somebody brought along, a server or a database elsewhere, encryption. It holds
names and addresses, no secrets.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube.kubectl import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_cassandra.kube.kubectl import Release

THING = "installation"
KEY = "installation.json"
# Keys that this version does not know are those of a newer chart.
_CONFIG = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True, config=_CONFIG)
class SecretKey:
    """One entry of a Secret.

    Args:
        name: Name of the Secret, in the release's namespace.
        key: Key in it.
    """

    name: str
    key: str


@dataclass(frozen=True, slots=True, config=_CONFIG)
class InstalledCassandra:
    """The database that the release uses.

    Args:
        enabled: Whether its nodes belong to the release.
        contact_points: Host names, as pods of the release see them.
        port: CQL port.
        local_datacenter: The datacenter that clients call local.
        replicas: Nodes; 0 for an external one.
        tls: Whether the CQL port is encrypted.
        ca_file: Authority to trust, where pods have it; empty means none, or the public ones.
        ca_secret: Where that file comes from.
    """

    enabled: bool
    contact_points: tuple[str, ...]
    port: int
    local_datacenter: str
    replicas: int
    tls: bool
    ca_file: str = ""
    ca_secret: SecretKey | None = None


@dataclass(frozen=True, slots=True, config=_CONFIG)
class InstalledService:
    """A Service of the release.

    Args:
        name: Its name.
        port: Its port.
    """

    name: str
    port: int


@dataclass(frozen=True, slots=True, config=_CONFIG)
class InstalledServer:
    """The Prefect server that the release uses.

    Args:
        enabled: Whether it belongs to the release.
        service: Its Service; None for an external one.
        api_url: Its API, as pods of the release see it; empty when there is none at all.
        auth_kind: `basic` for an auth string, `api-key` for Prefect Cloud.
        auth_secret: Where the credential is; None means it asks for none.
        ui_url: Its UI as a browser sees it; empty for an external one.
    """

    enabled: bool
    api_url: str
    auth_kind: str = "basic"
    service: InstalledService | None = None
    auth_secret: SecretKey | None = None
    ui_url: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class InstalledPool:
    """The work pool of the release.

    Args:
        enabled: Whether the release has a worker, and so makes the pool.
        name: Its name.
        queues: Names of its queues.
    """

    enabled: bool
    name: str
    queues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, config=_CONFIG)
class InstalledImages:
    """The images that the release was installed with.

    Args:
        platform: Reference of the one for server, worker and hooks.
        flows: Reference of the one for runs whose deployment names none.
    """

    platform: str
    flows: str


@dataclass(frozen=True, slots=True, config=_CONFIG)
class InstalledPods:
    """What a pod needs that is added to the release.

    Args:
        service_accounts: `hooks` and `flow` to their names.
        image_pull_secrets: Secrets with the credentials of registries.
        node_selector: Labels a node must have.
        tolerations: Taints it puts up with.
        priority_class_name: Its PriorityClass; empty means the default.
    """

    service_accounts: dict[str, str]
    image_pull_secrets: tuple[str, ...] = ()
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class InstalledRelease:
    """A release as the chart describes it.

    Args:
        chart_version: Version of the chart.
        app_version: Version of the platform that it was made for.
        release: Name of the Helm release.
        namespace: Its namespace.
        cassandra: Its database.
        server: Its Prefect server.
        work_pool: Its work pool.
        logins: Role to the Secret with its `username` and `password`.
        superuser_secret: The same for the superuser; empty if nobody said which.
        images: Its images.
        pods: What its pods have in common.
    """

    chart_version: str
    app_version: str
    release: str
    namespace: str
    cassandra: InstalledCassandra
    server: InstalledServer
    work_pool: InstalledPool
    logins: dict[str, str]
    images: InstalledImages
    pods: InstalledPods
    superuser_secret: str = ""

    def login_secret(self, role: str) -> str:
        """Return the name of the Secret with the login of a role.

        Raises:
            PlatformError: The release has no such role.
        """
        if role not in self.logins:
            raise PlatformError(
                f"Release {self.release} in namespace {self.namespace} has no login for the role "
                f"{role}; it has them for {', '.join(sorted(self.logins))}.",
                hint="Name the keyspace of that role under `keyspaces` in the release's values, "
                "and upgrade the release.",
            )
        return self.logins[role]


_ADAPTER = TypeAdapter(InstalledRelease)


def read_installation(release: Release) -> InstalledRelease:
    """Ask the cluster what the chart says of a release.

    Raises:
        PlatformError: There is no such release, or its chart is of another time.
        ToolError: The cluster does not answer or refuses.
    """
    return installation_in(read(release, "configmap", release.object(THING)), release)


def installation_in(found: Mapping[str, Any] | None, release: Release) -> InstalledRelease:
    """Return what the chart says in its ConfigMap, None for one that is not there.

    Raises:
        PlatformError: There is no such release, or its chart is of another time.
    """
    name = release.object(THING)
    if found is None:
        raise PlatformError(
            f"There is no ConfigMap {name} in namespace {release.namespace}, so no release "
            f"{release.name} of this chart is installed there, or one of a chart without it.",
            hint="`helm list --all-namespaces` tells which releases there are: name it with "
            "--release, --namespace and --context, or upgrade it.",
        )
    return parse_installation((found.get("data") or {}).get(KEY, ""), name)


def parse_installation(text: str, name: str) -> InstalledRelease:
    """Read what the chart wrote.

    Args:
        text: JSON.
        name: Name of the ConfigMap, for the error.

    Raises:
        PlatformError: It is not what a chart of this time writes; names each thing that is wrong.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        # Only where and what: the text itself may be long.
        problems = [
            f"{'.'.join(map(str, one['loc'])) or KEY}: {one['msg']}" for one in error.errors()
        ][:_MOST_PROBLEMS]
        raise PlatformError(
            f"ConfigMap {name} does not say what this version of prefect-cassandra needs to know: "
            f"{'; '.join(problems)}.",
            hint="Upgrade the release with the chart of this version, or use the version of "
            "prefect-cassandra that it was installed with.",
        ) from error
