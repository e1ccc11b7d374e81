"""Says in a line what a set of pods is doing, and what is wrong with those that cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Waiting reasons that pass by themselves.
_USUAL = {"ContainerCreating", "PodInitializing"}


def summary(pods: Sequence[dict[str, Any]]) -> str:
    """Return how many pods are ready or done and what each other one does."""
    waiting = [f"{_name(pod)} {_state(pod)}" for pod in pods if not _is_settled(pod)]
    text = f"{len(pods) - len(waiting)} of {len(pods)} pods ready or done"
    return f"{text}; {', '.join(waiting)}" if waiting else text


def troubles(pods: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each container that cannot start or has failed, and each stuck pod."""
    return [line for pod in pods if not _is_settled(pod) for line in _troubles(pod)]


def _troubles(pod: dict[str, Any]) -> Iterator[str]:
    name = _name(pod)
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"{name}: {condition.get('message') or condition.get('reason')}"
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _USUAL:
            said = waiting.get("message") or ""
            yield f"{name}/{container['name']}: {waiting.get('reason')} {said}".rstrip()
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode"):
            yield (
                f"{name}/{container['name']}: {ended.get('reason')}, "
                f"exit code {ended['exitCode']} {ended.get('message') or ''}".rstrip()
            )


def _is_settled(pod: dict[str, Any]) -> bool:
    if pod["status"].get("phase") == "Succeeded":
        return True
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions") or ()
    )


def _state(pod: dict[str, Any]) -> str:
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason"):
            return str(waiting["reason"])
    return str(pod["status"].get("phase", "Unknown"))


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _name(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["name"])
