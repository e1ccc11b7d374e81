"""A deployment as the Prefect server has it: read whole, and put back whole.

Read back from the server and not taken from `prefect.yaml`: defaults, parameter schemas and the
names of automations are Prefect's to make, and a definition that was registered by another version
of the file has to come back as it was. Whether a deployment is paused is left as it is: that is a
person's decision of the moment and belongs to no version.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prefect_cassandra.ledger.versions import Definition
    from prefect_cassandra.project.asking import Ask

_KEPT = (
    "name",
    "description",
    "tags",
    "parameters",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "path",
    "entrypoint",
    "pull_steps",
    "work_pool_name",
    "work_queue_name",
    "job_variables",
    "concurrency_options",
)
_OF_SCHEDULE = ("schedule", "active", "parameters", "slug", "max_scheduled_runs")
_OF_AUTOMATION = (
    "name",
    "description",
    "enabled",
    "tags",
    "trigger",
    "actions",
    "actions_on_trigger",
    "actions_on_resolve",
)
# Stands where an automation names its deployment, which has another id on another server.
_THIS = "{this deployment}"
_MARK = "Declared in prefect.yaml for deployment "
_ATTEMPTS = 3


def definition_of(
    flow: str, found: Mapping[str, Any], automations: Sequence[Mapping[str, Any]]
) -> Definition:
    """Return what has to be sent to get a deployment like this one.

    Args:
        flow: Name of its flow.
        found: The deployment as the server's API returns it.
        automations: Automations around it, as the API returns them.
    """
    limit = found.get("global_concurrency_limit") or {}
    return {
        "flow": flow,
        "deployment": {key: found[key] for key in _KEPT if key in found}
        | {
            "schedules": [
                {key: one[key] for key in _OF_SCHEDULE if one.get(key) is not None}
                for one in found.get("schedules") or ()
            ],
            "concurrency_limit": limit.get("limit"),
        },
        "automations": _owned(automations, found),
    }


def described(description: str, deployment: str) -> str:
    """Return the description of an automation that belongs to a deployment.

    The server keeps whose an automation is and tells nobody, so it is in the text as well, where
    people can see that there is a file to change.

    Args:
        description: What `prefect.yaml` says; may be empty.
        deployment: Short name of the deployment.
    """
    return f"{description} {_MARK}{deployment}.".strip()


def _owned(
    automations: Sequence[Mapping[str, Any]], deployment: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the automations that belong to a deployment, in a form that names no ids."""
    mark = described("", deployment["name"])
    kept = [
        {key: one[key] for key in _OF_AUTOMATION if key in one}
        for one in automations
        if str(one.get("description") or "").endswith(mark)
    ]
    text = json.dumps(sorted(kept, key=lambda one: str(one["name"])))
    text = text.replace(deployment["id"], _THIS)
    found: list[dict[str, Any]] = _without_trigger_ids(json.loads(text))
    return found


def _without_trigger_ids(node: Any) -> Any:
    """Take out the ids that the server gives each trigger anew."""
    if isinstance(node, list):
        return [_without_trigger_ids(one) for one in node]
    if not isinstance(node, dict):
        return node
    is_trigger = "type" in node and ("posture" in node or "triggers" in node)
    return {
        key: _without_trigger_ids(value)
        for key, value in node.items()
        if not (is_trigger and key == "id")
    }


def _resource(deployment: str) -> str:
    return f"prefect.deployment.{deployment}"


def image_of(definition: Definition) -> str:
    """Return the reference of the image that the runs use; empty when it names none."""
    return str(definition["deployment"].get("job_variables", {}).get("image") or "")


def moved(definition: Definition, pool: str) -> Definition:
    """Return a definition for another release, whose work pool has another name."""
    return definition | {"deployment": definition["deployment"] | {"work_pool_name": pool}}


def find_definition(ask: Ask, name: str) -> tuple[str, Definition] | None:
    """Ask the server for a deployment.

    Args:
        ask: The server.
        name: `flow/deployment`.

    Returns:
        Its version label, and the definition; None when the server has no such deployment.

    Raises:
        PlatformError: The server does not answer.
    """
    flow, _, short = name.rpartition("/")
    query = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [short]}}}
    found = ask("POST", "/api/deployments/filter", query)
    if not found:
        return None
    (one,) = found
    automations = _related(ask, one["id"])
    return str(one.get("version") or ""), definition_of(flow, one, automations)


def put_definition(ask: Ask, definition: Definition, label: str) -> None:
    """Make the server have a deployment exactly so, under a version label; safe to repeat.

    Raises:
        PlatformError: The server refuses it, or does not keep its automations.
    """
    flow = ask("POST", "/api/flows/", {"name": definition["flow"]})
    body = definition["deployment"] | {"flow_id": flow["id"], "version": label}
    made = ask("POST", "/api/deployments/", body)
    wanted = definition["automations"]
    names = [one["name"] for one in wanted]
    for _ in range(_ATTEMPTS):
        _replace_automations(ask, made["id"], wanted)
        # Looked at, because a question that had to be repeated may have made two.
        if [one["name"] for one in _owned(_related(ask, made["id"]), made)] == names:
            return
    raise PlatformError(
        f"The server does not keep the automations of {definition['flow']}/{made['name']}.",
        hint="Look at its automations in the UI; somebody may be changing them.",
    )


def _related(ask: Ask, deployment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask("GET", f"/api/automations/related-to/{_resource(deployment)}")
    return found


def _replace_automations(ask: Ask, deployment: str, wanted: Sequence[Mapping[str, Any]]) -> None:
    owner = _resource(deployment)
    ask("DELETE", f"/api/automations/owned-by/{owner}")
    for one in json.loads(json.dumps(list(wanted)).replace(_THIS, deployment)):
        ask("POST", "/api/automations/", one | {"owner_resource": owner})
