"""The Prefect server: its health, the work pool against the chart's, and who polls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    PlatformError,
    UnreachableError,
)
from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn
from prefect_cassandra.kube.doctor.pods import moment
from prefect_cassandra.kube.pool import Pool, Queue, decide, template_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from prefect_cassandra.kube.doctor.prefect_api import PrefectApi

HEALTH, POOL, WORKERS = "server.health", "server.pool", "server.workers"
_AGAIN = "`helm upgrade` with the same values puts it right; its hook Job says what it changed."


def look_at_health(api: PrefectApi) -> Check:
    """Ask whether the server and its database answer, and whether the login is good."""
    try:
        _, seconds = api.timed("/ready")
        version = api.ask("GET", "/admin/version")
    except UnreachableError as error:
        hint = "Its pod is among `pods`; a server of your own: externalServer.apiUrl, and whether "
        return fail(HEALTH, error.message, f"{hint}the cluster may reach it.")
    except AuthenticationError as error:
        hint = "The Secret with the auth string or API key is not the one that the server has."
        return fail(HEALTH, error.message, hint)
    except PlatformError as error:
        hint = error.hint or "Its database may be away: read the server's log."
        return fail(HEALTH, error.message, hint)
    named = f"Prefect {version}" if version else "the server"
    return ok(HEALTH, f"{named} and its database answer in {seconds * 1000:.0f} ms, login accepted")


def judge_pool(wanted: Pool | None, live: Pool | None, name: str) -> Check:
    """Compare the work pool with what the chart wants.

    Args:
        wanted: From the chart's ConfigMap; None when that cannot be read.
        live: As the server has it; None when it has none.
        name: Of the pool.
    """
    if live is None:
        return fail(POOL, f"the server has no work pool {name}", f"See `jobs.workpool`. {_AGAIN}")
    if wanted is None:
        hashed = template_hash(live.template)
        return skipped(POOL, f"{name} is there, template {hashed}; there is nothing to compare it")
    try:
        changes = decide(wanted, live)
    except ConfigurationError as error:
        return fail(POOL, error.message, error.hint)
    text = "; ".join(change.text for change in changes)
    if template_hash(wanted.template) != template_hash(live.template):
        hint = f"Every new run gets it. {_AGAIN}"
        return fail(POOL, f"{name} is not what the chart made: {text}", hint)
    if changes:
        return warn(POOL, f"{name} differs from the chart: {text}", _AGAIN)
    hashed, queues = template_hash(live.template), ", ".join(one.name for one in live.queues)
    return ok(POOL, f"{name} has the chart's template {hashed} and the queues {queues}")


def judge_workers(workers: Sequence[Mapping[str, Any]], name: str, now: datetime) -> Check:
    """Say whether anybody polls the pool, by the last sign of life."""
    online = [one for one in workers if one.get("status") == "ONLINE"]
    beats = [beat for one in workers if (beat := moment(one.get("last_heartbeat_time")))]
    newest = max(beats, default=None)
    age = f"{max(0.0, (now - newest).total_seconds()):.0f} s" if newest else ""
    if online:
        return ok(WORKERS, f"{len(online)} polling {name}, last heartbeat {age} ago")
    hint = "Read its log: kubectl logs deployment/RELEASE-worker. Its pod is among `pods`."
    if age:
        return fail(WORKERS, f"nobody polls {name}; the last heartbeat was {age} ago", hint)
    return fail(WORKERS, f"no worker has ever polled {name}", hint)


def judge_paused(pool: Mapping[str, Any], queues: Sequence[Mapping[str, Any]]) -> Check | None:
    """Say what is paused, which keeps runs waiting without an error; None when nothing is."""
    if pool.get("is_paused"):
        hint = f"`prefect work-pool resume {pool['name']}`, when that is no longer wanted."
        return warn("server.paused", f"the work pool {pool['name']} is paused", hint)
    paused = [str(one["name"]) for one in queues if one.get("is_paused")]
    if paused:
        hint = f"`prefect work-queue resume NAME --pool {pool['name']}` starts one again."
        return warn("server.paused", f"paused queues: {', '.join(paused)}", hint)
    return None


def live_pool(pool: Mapping[str, Any], queues: Sequence[Mapping[str, Any]]) -> Pool:
    """Return a pool as the API shows it."""
    return Pool(
        str(pool["name"]),
        pool["base_job_template"],
        tuple(
            Queue(one["name"], one.get("priority"), one.get("concurrency_limit")) for one in queues
        ),
        pool.get("concurrency_limit"),
        pool.get("description") or "",
        str(pool["type"]),
    )


def look_at_pool(api: PrefectApi, wanted: Pool | None, name: str, now: datetime) -> list[Check]:
    """Ask for the pool, its queues and its workers, and judge them.

    Raises:
        UnreachableError, AuthenticationError, PlatformError: The server does not say.
    """
    pool = api.ask("GET", f"/work_pools/{name}")
    if pool is None:
        return [judge_pool(wanted, None, name), skipped(WORKERS, "there is no pool to poll")]
    queues = api.ask("POST", f"/work_pools/{name}/queues/filter", {}) or []
    workers = api.ask("POST", f"/work_pools/{name}/workers/filter", {}) or []
    paused = judge_paused(pool, queues)
    found = [judge_pool(wanted, live_pool(pool, queues), name), judge_workers(workers, name, now)]
    return [*found, *([paused] if paused else [])]
