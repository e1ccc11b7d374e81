"""A second release, of three Cassandra nodes, for the tests that take things away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.sharing import close_sessions, shared_session
from prefect_cassandra.example.flights import KEYSPACE, Source
from prefect_cassandra.kube.cassandra import connected
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.kubectl import Release, read_all
from prefect_cassandra.kube.release import CHART, helm, install
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.tools import attempt, run
from prefect_cassandra.reads.scan import count_rows
from prefect_cassandra.schema import reader_role
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from prefect_cassandra.kube.server import Server

# On top of the kind profile. The machine may be small, and the other release is there as well.
SMALL = {"resources": {"requests": {"cpu": "10m", "memory": "128Mi"}}}
VALUES: dict[str, Any] = {
    "cassandra": {
        "replicas": 3,
        "racks": ["rack1", "rack2", "rack3"],
        "resources": {"requests": {"cpu": "25m"}},
        # How long a joining node listens for others; half a minute is for rings over many machines.
        "jvmOptions": ["-Dcassandra.ring_delay_ms=8000"],
    },
    "server": SMALL,
    "postgres": SMALL,
    "worker": SMALL,
    "bootstrap": SMALL,
}


@dataclass(frozen=True)
class Ring:
    """The release of three nodes and how to install it again."""

    release: Release
    values: dict[str, Any]

    def install(self) -> None:
        """Install or upgrade it, and return when everything is ready."""
        install(ROOT, self.release, self.values, print)

    def remove(self) -> None:
        """Take it away, with all that outlives a release."""
        attempt(helm(self.release, "uninstall", self.release.name, "--wait"), timeout=400)
        run(self.release.kubectl("delete", "namespace", self.release.namespace), timeout=300)

    def server(self) -> AbstractContextManager[Server]:
        """Reach the release's server while a block runs."""
        return reached(self.release, read_installation(self.release))

    def upgrade(self, *settings: str, dry: bool = False) -> list[str]:
        """Return the command of an upgrade that changes some values."""
        command = helm(self.release, "upgrade", self.release.name, str(ROOT / CHART))
        mode = ["--dry-run=server"] if dry else ["--wait", "--timeout", "10m"]
        changes = [word for setting in settings for word in ("--set", setting)]
        return [*command, "--reuse-values", *mode, *changes]

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return the pods of a component."""
        selector = (
            f"app.kubernetes.io/instance={self.release.name},"
            f"prefect-cassandra.io/component={component}"
        )
        return read_all(self.release, "pods", selector)

    def kill(self, component: str, ordinal: int = 0) -> str:
        """Take a pod away with hardly a warning and return its uid."""
        pod = sorted(self.pods(component), key=lambda one: one["metadata"]["name"])[ordinal]
        name = pod["metadata"]["name"]
        # A second to go. With --force its successor could open the same volume beside it.
        run(self.release.kubectl("delete", "pod", name, "--grace-period=1", "--wait=false"))
        return str(pod["metadata"]["uid"])

    def is_whole(self, *without: str) -> bool:
        """Tell whether all pods are ready, none of them one of these uids."""
        found = [
            pod
            for component in ("cassandra", "server", "postgres", "worker")
            for pod in self.pods(component)
        ]
        alive = [
            pod["metadata"]["uid"]
            for pod in found
            for condition in pod["status"].get("conditions") or ()
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]
        return len(alive) == len(found) == 6 and not set(alive) & set(without)


def kept_secrets(release: Release) -> set[str]:
    """Return the Secrets that outlive a release."""
    selector = f"app.kubernetes.io/instance={release.name}"
    return {
        one["metadata"]["name"]
        for one in read_all(release, "secrets", selector)
        if one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }


def left(release: Release) -> set[str]:
    """Return everything in the namespace but what every namespace has, and events."""
    listed = "api-resources", "--namespaced", "--verbs=list", "--output", "name"
    kinds = [
        kind for kind in run(release.kubectl(*listed)).split() if not kind.startswith("events")
    ]
    found = run(
        release.kubectl("get", ",".join(kinds), "--ignore-not-found", "--output", "name"),
        timeout=120,
    )
    return set(found.split()) - {"configmap/kube-root-ca.crt", "serviceaccount/default"}


def counted(release: Release) -> dict[str, int]:
    """Count the tables of the flights with a scan, as somebody who may only read."""
    with connected(release, read_installation(release), reader_role(KEYSPACE)) as config:
        try:
            session = shared_session(config)
            return {table: count_rows(session, KEYSPACE, table) for table in expected([])}
        finally:
            close_sessions()


def expected(months: Collection[int]) -> dict[str, int]:
    """Count in the source what the flights of some months, and all the rest, come to."""
    source = Source()
    flights = [
        tailnum != "NA"
        for month, tailnum in source.rows("flights", "month", "tailnum")
        if int(month) in months
    ]
    whole = ("weather_by_origin_day", "planes", "airports", "airlines")
    return {
        "by_origin_day": len(flights),
        "by_tailnum": sum(flights),
        **{table: source.expected[table][0] for table in whole},
    }
