"""The work pool: its job template and its queues, as the chart's files want them.

What the pool should be is compared with what it is; `pool_server.py` sends only the difference. The
hash of the template that was applied last is kept in the pool's description: a live template with
another hash was changed by somebody else, which is reported as drift before it is put right.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TYPE = "kubernetes"
_HASH_LENGTH = 12
_NOTE = re.compile(r"template ([0-9a-f]{12})\b")
_MOST_PATHS = 10


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of the pool.

    Args:
        name: Its name.
        priority: 1 is the first to be served; None leaves it to Prefect.
        limit: Runs at once; None means no limit of its own.
        description: What it is for.
    """

    name: str
    priority: int | None = None
    limit: int | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """A work pool, wanted or live.

    Args:
        name: Its name.
        template: Base job template.
        queues: Its queues.
        limit: Runs at once; None means no limit.
        description: What people see; ends with the hash of the template when it is ours.
        type: Prefect's word for what its workers are.
    """

    name: str
    template: Mapping[str, Any]
    queues: tuple[Queue, ...] = ()
    limit: int | None = None
    description: str = ""
    type: str = TYPE

    @property
    def noted_hash(self) -> str | None:
        """Return the hash of the template that was applied last, as the description tells it."""
        found = _NOTE.search(self.description or "")
        return found.group(1) if found else None


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do.

    Args:
        what: `create`, `template`, `limit`, `queue` or `queue-update`.
        text: For people.
        queue: The queue it is about.
        is_drift: Somebody else changed what is put right by it.
    """

    what: str
    text: str
    queue: Queue | None = None
    is_drift: bool = False


def template_hash(template: Mapping[str, Any]) -> str:
    """Return a short hash that does not depend on the order of keys."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def described(template: Mapping[str, Any]) -> str:
    """Return the description of a pool with this template."""
    return f"Made by prefect-cassandra from its chart; template {template_hash(template)}"


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which two JSON values differ, such as `variables.properties.image`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            below = f"{path}.{key}" if path else key
            if key not in old or key not in new:
                yield below
            else:
                yield from differences(old[key], new[key], below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif old != new:
        yield path or "."


def decide(wanted: Pool, live: Pool | None) -> list[Change]:
    """Return what has to be done to make the live pool the wanted one.

    Raises:
        ConfigurationError: The live pool is for workers of another kind.
    """
    if live is None:
        text = f"work pool {wanted.name}, template {template_hash(wanted.template)}"
        made = [Change("create", text)]
        # Prefect makes `default` with the pool, to be served first.
        return made + _queue_changes(wanted.queues, (Queue("default", 1),))
    if live.type != wanted.type:
        raise ConfigurationError(
            f"The work pool {live.name} exists and is of type {live.type!r}, not {wanted.type!r}.",
            hint="Delete it in Prefect, or give the chart another name in workPool.name.",
        )
    return [*_template_changes(wanted, live), *_queue_changes(wanted.queues, live.queues)]


def _template_changes(wanted: Pool, live: Pool) -> Iterator[Change]:
    hashed, now = template_hash(wanted.template), template_hash(live.template)
    if now != hashed:
        paths = list(differences(live.template, wanted.template))
        shown = ", ".join(paths[:_MOST_PATHS])
        more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
        is_drift = live.noted_hash not in {None, now}
        cause = "was changed by somebody else, put right" if is_drift else "updated"
        text = f"template {now} -> {hashed}, {cause}: {shown}{more}"
        yield Change("template", text, is_drift=is_drift)
    elif live.noted_hash != hashed:
        yield Change("template", f"template {hashed} is there already, noted in the description")
    if live.limit != wanted.limit:
        yield Change("limit", f"concurrency limit {live.limit} -> {wanted.limit}")


def _queue_changes(wanted: Sequence[Queue], live: Sequence[Queue]) -> list[Change]:
    """Add and mend queues; one that is not wanted stays, since deployments may point at it."""
    there = {queue.name: queue for queue in live}
    changes = []
    for queue in wanted:
        found = there.get(queue.name)
        if found is None:
            changes.append(Change("queue", f"queue {queue.name}", queue))
        elif parts := _queue_differences(found, queue):
            text = f"queue {queue.name}: {', '.join(parts)}"
            changes.append(Change("queue-update", text, queue))
    return changes


def _queue_differences(live: Queue, wanted: Queue) -> list[str]:
    parts = []
    if wanted.priority is not None and wanted.priority != live.priority:
        parts.append(f"priority {live.priority} -> {wanted.priority}")
    if wanted.limit != live.limit:
        parts.append(f"concurrency limit {live.limit} -> {wanted.limit}")
    return parts


def read_wanted(template: Path, pool: Path) -> Pool:
    """Read the chart's two files.

    Args:
        template: The base job template, JSON.
        pool: `{"name": ..., "queues": [...]}`; a queue has `name`, `priority`, `concurrencyLimit`
            and `description`.

    Raises:
        ConfigurationError: A file is missing or is not that.
    """
    return pool_of(_read_json(template), _read_json(pool), str(template), str(pool))


def pool_of(
    template: Mapping[str, Any], declared: Mapping[str, Any], template_name: str, pool_name: str
) -> Pool:
    """Return the pool that the content of the chart's two files describes.

    Args:
        template: The base job template.
        declared: See `read_wanted`.
        template_name: Names the first in errors.
        pool_name: Names the second in errors.

    Raises:
        ConfigurationError: One of them is not that.
    """
    if "job_configuration" not in template or "variables" not in template:
        raise ConfigurationError(f"{template_name} is no base job template: no job_configuration.")
    try:
        queues = tuple(_queue(one) for one in declared.get("queues", ()))
        limit = declared.get("concurrencyLimit")
        return Pool(declared["name"], template, queues, limit, described(template))
    except (KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{pool_name} does not describe a work pool: {error!r}."
        ) from error


def _queue(one: Mapping[str, Any]) -> Queue:
    limit = one.get("concurrencyLimit")
    return Queue(one["name"], one.get("priority"), limit, one.get("description"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} holds no JSON object.")
    return found
