"""Looks at the runs of one work pool and at the Jobs of one namespace; changes nothing.

Runs are read first and Jobs after them: a run that was seen without a Job had none before the Jobs
were listed. A list that breaks off is an error, never a short list, so that nothing is taken for
gone that was only not seen.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube.doctor.cluster_api import in_namespace
from prefect_cassandra.kube.doctor.facts import FLOW_RUN
from prefect_cassandra.kube.reconciling.facts import (
    Job,
    Pod,
    Run,
    Sight,
    job_of,
    owner_of,
    pod_of,
    run_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect_cassandra.kube.doctor.cluster_api import ClusterApi
    from prefect_cassandra.kube.doctor.prefect_api import PrefectApi

Object = dict[str, Any]

# The server gives out no more at a time.
_RUNS_PER_PAGE = 200
_OBJECTS_PER_PAGE = 500
_ACTIVE = ("PENDING", "RUNNING", "CANCELLING")
# The only scheduled runs that a process may be about to take up, or that had a Job before.
_PUT_BACK = "AwaitingRetry"


@dataclass(frozen=True, slots=True)
class Place:
    """What is looked at.

    Args:
        release: Name of the Helm release, which is on the Jobs of its template.
        namespace: Its namespace.
        pool: Its work pool.
    """

    release: str
    namespace: str
    pool: str


class Observer:
    """Asks both APIs.

    Args:
        cluster: Kubernetes'.
        prefect: Prefect's.
        place: What is looked at.
    """

    def __init__(self, cluster: ClusterApi, prefect: PrefectApi, place: Place) -> None:
        self._cluster = cluster
        self._prefect = prefect
        self._place = place

    async def look(self, crashed_within: float) -> Sight:
        """Return everything there is to decide about.

        Args:
            crashed_within: Seconds back that crashed runs are of interest.

        Raises:
            UnreachableError, AuthenticationError: The server does not answer, or not to us.
            PermissionDeniedError: The caller may not list the Jobs or pods.
            PlatformError: One of the APIs answers with an error.
        """
        now = datetime.now(UTC)
        runs = await asyncio.to_thread(self._pool_runs, now - timedelta(seconds=crashed_within))
        jobs = await self._jobs(FLOW_RUN)
        # Runs that have ended are of interest where a Job outlived them.
        missing = [one for one, found in jobs.items() if one not in runs and _any_lives(found)]
        runs |= await asyncio.to_thread(self._runs_by_id, missing)
        # A crashed run that has no Job any more came with the first question.
        return Sight(self._place.namespace, now, runs, jobs)

    async def look_at(self, run_id: str) -> Sight:
        """Return what there is now of one run.

        Raises:
            UnreachableError, AuthenticationError, PermissionDeniedError, PlatformError: As `look`.
        """
        now = datetime.now(UTC)
        runs = await asyncio.to_thread(self._runs_by_id, [run_id])
        jobs = await self._jobs(f"{FLOW_RUN}={run_id}")
        return Sight(self._place.namespace, now, runs, jobs)

    def _pool_runs(self, crashed_after: datetime) -> dict[str, Run]:
        crashed = {
            "state": {"type": {"any_": ["CRASHED"]}},
            "end_time": {"after_": crashed_after.isoformat()},
        }
        found: dict[str, Run] = {}
        for asked in (
            {"state": {"name": {"any_": [_PUT_BACK]}}},
            crashed,
            # Last, so that a run which went on meanwhile is known by its latest state.
            {"state": {"type": {"any_": list(_ACTIVE)}}},
        ):
            found |= self._runs(asked)
        return found

    def _runs_by_id(self, ids: Sequence[str]) -> dict[str, Run]:
        found: dict[str, Run] = {}
        for start in range(0, len(ids), _RUNS_PER_PAGE):
            found |= self._runs({"id": {"any_": list(ids[start : start + _RUNS_PER_PAGE])}})
        return found

    def _runs(self, asked: Object) -> dict[str, Run]:
        found: dict[str, Run] = {}
        offset = 0
        while True:
            body = {
                "flow_runs": asked,
                "work_pools": {"name": {"any_": [self._place.pool]}},
                "limit": _RUNS_PER_PAGE,
                "offset": offset,
                "sort": "ID_DESC",
            }
            page = self._prefect.ask("POST", "/flow_runs/filter", body) or []
            runs = [run for one in page if (run := run_of(one)) is not None]
            found |= {run.id: run for run in runs}
            if len(page) < _RUNS_PER_PAGE:
                return found
            offset += len(page)

    async def _jobs(self, selector: str) -> dict[str, list[Job]]:
        jobs = await self._all("jobs", selector, "batch/v1")
        # Pods after Jobs: of a Job that was seen, no pod is missing that it had.
        pods: dict[str, list[Pod]] = defaultdict(list)
        for one in await self._all("pods", selector):
            pods[owner_of(one)].append(pod_of(one))
        found: dict[str, list[Job]] = defaultdict(list)
        for one in jobs:
            job = job_of(one, self._place.release, pods.get(one["metadata"]["uid"], ()))
            # What a person wrote into that label is no run, and no question for the server.
            if _is_id(job.run_id):
                found[job.run_id].append(job)
        for several in found.values():
            several.sort(key=lambda job: (job.created, job.name))
        return dict(found)

    async def _all(self, kind: str, selector: str, group: str = "v1") -> list[Object]:
        path = in_namespace(self._place.namespace, kind, group=group)
        found: list[Object] = []
        query: dict[str, str | int] = {"labelSelector": selector, "limit": _OBJECTS_PER_PAGE}
        while True:
            page = await self._cluster.get(path, **query)
            # A namespace without any answers with an empty list; no answer is no list.
            if page is None:
                raise PlatformError(f"the cluster knows no {kind} in {self._place.namespace}")
            found += page.get("items") or ()
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            query["continue"] = more


def _any_lives(jobs: Iterable[Job]) -> bool:
    return any(job.lives for job in jobs)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
