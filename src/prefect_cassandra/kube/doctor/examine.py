"""`prefect-cassandra doctor`: everything that can be said about an installed release."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import AuthenticationError, PrefectCassandraError, ToolError
from prefect_cassandra.kube.doctor.access import cassandra_config, prefect_server
from prefect_cassandra.kube.doctor.causes import shortened
from prefect_cassandra.kube.doctor.check import Check, Report, fail, ok, skipped, warn
from prefect_cassandra.kube.doctor.data import look_at_canary, look_at_migrations
from prefect_cassandra.kube.doctor.facts import component
from prefect_cassandra.kube.doctor.gathered import gather
from prefect_cassandra.kube.doctor.hooks import judge_hooks
from prefect_cassandra.kube.doctor.pods import is_ready, judge_pods
from prefect_cassandra.kube.doctor.prefect_api import PrefectApi
from prefect_cassandra.kube.doctor.ring import (
    judge_agreement,
    judge_release,
    judge_ring,
    read_ring,
)
from prefect_cassandra.kube.doctor.runs import Jobs, look_at_runs
from prefect_cassandra.kube.doctor.server import look_at_health, look_at_pool
from prefect_cassandra.kube.doctor.volumes import judge_volumes
from prefect_cassandra.project.folder import KEYSPACES_FILE
from prefect_cassandra.schema import load_keyspaces
from prefect_cassandra.schema.migrations import read_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from prefect_cassandra.kube.doctor.facts import Facts
    from prefect_cassandra.kube.doctor.gathered import Gathered
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.schema.migrations import Migration

_LOGIN = "cassandra.login"


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Args:
        release: The Helm release.
        flows: Folder with `keyspaces.yaml`, to compare migrations with; None for none.
        inside: Whether this runs in a pod of the release.
    """

    release: Release
    flows: Path | None = None
    inside: bool = False


def examine(patient: Patient, tell: Callable[[str], None]) -> Report:
    """Look at everything; changes nothing but one row of `prefect_ledger.canary`.

    Args:
        patient: What is examined.
        tell: Called with a line for each thing that is about to be looked at.

    Raises:
        ConfigurationError: There is no way into the cluster, or the folder of flows is wrong.
        PlatformError: There is no such release, or the cluster does not answer.
        PermissionDeniedError: The caller may not read the release's objects.
    """
    # A wrong folder is an error before anything is asked.
    files = _files(patient.flows)
    release = patient.release
    tell(f"reading the objects of release {release.name} in namespace {release.namespace}")
    found = gather(release, inside=patient.inside)
    now = datetime.now(UTC)
    checks = [judge_version(found.installed.app_version, version("prefect-cassandra"))]
    checks += judge_hooks(found.facts, now)
    checks += judge_pods(found.facts, now)
    checks += judge_volumes(found.facts)
    tell("asking the Prefect server")
    checks += _server(patient, found, now)
    tell("asking Cassandra")
    checks += _cassandra(patient, found, files)
    return Report(tuple(checks))


def judge_version(installed: str, ours: str) -> Check:
    """Compare the chart's version with that of the program that looks at it."""
    if installed == ours:
        return ok("release", f"installed with version {installed}")
    hint = "Use the same version for both: some findings may be about the difference."
    return warn("release", f"installed with version {installed}, looked at with {ours}", hint)


def _files(flows: Path | None) -> Mapping[str, Sequence[Migration]] | None:
    return None if flows is None else read_folders(load_keyspaces(flows / KEYSPACES_FILE))


def _server(patient: Patient, found: Gathered, now: datetime) -> list[Check]:
    installed = found.installed
    if not installed.server.api_url:
        return [skipped("server.health", "the release uses no Prefect server")]
    if (reason := _unusable(found, "server", is_ours=installed.server.enabled)) is not None:
        return [reason]
    pool = installed.work_pool
    by_name = {job["metadata"]["name"]: job for job in found.facts.jobs}
    jobs = Jobs(installed.namespace, by_name)
    checks: list[Check] = []
    try:
        with prefect_server(patient.release, installed, inside=patient.inside) as server:
            api = PrefectApi(server)
            checks.append(look_at_health(api))
            if checks[0].status == "ok" and pool.enabled:
                checks += look_at_pool(api, found.pool, pool.name, now)
                checks += look_at_runs(api, pool.name, jobs, now)
    except PrefectCassandraError as error:
        checks.append(_unasked("server.health", error))
    return checks


def _cassandra(
    patient: Patient, found: Gathered, files: Mapping[str, Sequence[Migration]] | None
) -> list[Check]:
    cassandra = found.installed.cassandra
    if (reason := _unusable(found, "cassandra", is_ours=cassandra.enabled)) is not None:
        return [reason]
    checks: list[Check] = []
    try:
        with cassandra_config(patient.release, found.installed, inside=patient.inside) as config:
            session = shared_session(config)
            nodes = read_ring(session)
            checks += [judge_ring(nodes, cassandra.replicas)]
            checks += [judge_agreement(nodes), judge_release(nodes)]
            checks += [look_at_migrations(session, files), look_at_canary(session)]
    except AuthenticationError as error:
        hint = (
            "The Secret and the database disagree about prefect_ledger's password; the bootstrap, "
            "which `helm upgrade` runs again, gives the role the Secret's."
        )
        checks.append(fail(_LOGIN, error.message, hint))
    except PrefectCassandraError as error:
        checks.append(_unasked("cassandra.ring", error))
    return checks


def _unusable(found: Gathered, part: str, *, is_ours: bool) -> Check | None:
    """Say why a part need not be asked; None when it can be."""
    name = {"server": "server.health", "cassandra": "cassandra.ring"}[part]
    if is_ours and not _serves(found.facts, part):
        return fail(name, f"no pod of {part} is ready", "See `pods` for the reason.")
    return None


def _unasked(name: str, error: PrefectCassandraError) -> Check:
    """Say why a part could not be asked: it does not answer, or the caller may not."""
    if isinstance(error, ToolError) and "forbidden" in error.message.lower():
        hint = "`helm test` looks from inside, and needs no right to Secrets and ports."
        return skipped(name, shortened(error.message), hint)
    return fail(name, shortened(error.message), error.hint or "See `pods`.")


def _serves(facts: Facts, part: str) -> bool:
    return any(is_ready(pod) for pod in facts.pods if component(pod) == part)
