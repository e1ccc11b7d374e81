from __future__ import annotations

from typing import Any

from prefect_cassandra.kube.definitions import definition_of, described, image_of, moved

ID = "0e57d3b0-0000-4000-8000-000000000001"
OWNER = f"prefect.deployment.{ID}"
FOUND: dict[str, Any] = {
    "id": ID,
    "created": "2026-01-01T00:00:00Z",
    "flow_id": "f",
    "name": "flights",
    "version": "v1-a",
    "paused": True,
    "status": "READY",
    "parameters": {"months": [1]},
    "job_variables": {"image": "flows:a", "login": "flights-flow"},
    "work_pool_name": "cassandra",
    "schedules": [
        {"id": "s", "deployment_id": ID, "active": True, "schedule": {"cron": "0 * * * *"}}
    ],
    "global_concurrency_limit": {"id": "l", "limit": 1, "active_slots": 0},
    "concurrency_limit": None,
}
AUTOMATIONS: list[dict[str, Any]] = [
    {
        "id": "b",
        "name": "second",
        "description": described("After a file.", "flights"),
        "trigger": {
            "id": "t",
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": OWNER},
        },
        "actions": [{"type": "run-deployment", "deployment_id": ID}],
    },
    {
        "id": "a",
        "name": "first",
        "description": described("", "flights"),
        "trigger": {},
        "actions": [],
    },
    {"id": "c", "name": "somebody's own", "description": "", "trigger": {}, "actions": []},
    {
        "id": "d",
        "name": "another deployment's, which starts this one",
        "description": described("", "values"),
        "trigger": {},
        "actions": [],
    },
]
DEFINITION = definition_of("flights", FOUND, AUTOMATIONS)


def test_it_holds_what_is_sent_and_nothing_the_server_makes() -> None:
    assert DEFINITION["flow"] == "flights"
    assert DEFINITION["deployment"] == {
        "name": "flights",
        "parameters": {"months": [1]},
        "job_variables": {"image": "flows:a", "login": "flights-flow"},
        "work_pool_name": "cassandra",
        "schedules": [{"active": True, "schedule": {"cron": "0 * * * *"}}],
        "concurrency_limit": 1,
    }


def test_automations_of_the_deployment_belong_to_it_on_any_server() -> None:
    assert DEFINITION["automations"] == [
        {
            "name": "first",
            "description": "Declared in prefect.yaml for deployment flights.",
            "trigger": {},
            "actions": [],
        },
        {
            "name": "second",
            "description": "After a file. Declared in prefect.yaml for deployment flights.",
            "trigger": {
                "type": "event",
                "posture": "Reactive",
                "match": {"prefect.resource.id": "prefect.deployment.{this deployment}"},
            },
            "actions": [{"type": "run-deployment", "deployment_id": "{this deployment}"}],
        },
    ]


def test_without_a_limit_an_earlier_one_is_taken_away() -> None:
    bare = definition_of("flights", FOUND | {"global_concurrency_limit": None}, [])
    assert bare["deployment"]["concurrency_limit"] is None
    assert bare["automations"] == []


def test_another_release_has_another_pool() -> None:
    there = moved(DEFINITION, "other")
    assert there["deployment"]["work_pool_name"] == "other"
    assert DEFINITION["deployment"]["work_pool_name"] == "cassandra"


def test_the_image_is_found_where_runs_find_it() -> None:
    assert image_of(DEFINITION) == "flows:a"
    assert image_of({"deployment": {}}) == ""
