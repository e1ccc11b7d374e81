from __future__ import annotations

import shlex
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefect_cassandra.driver.config import Tls
from prefect_cassandra.errors import ConfigurationError, PlatformError
from prefect_cassandra.kube.deployments import (
    for_cluster,
    queue_of,
    read_declared,
    require_logins,
    target_of,
)
from prefect_cassandra.kube.images import Image
from prefect_cassandra.schema import flow_role, load_keyspaces
from support.installed import ENCRYPTED, EXTERNAL, KEYSPACES, PLAIN, POOL, installed

IMAGE = Image("flows", "abc-123")
DECLARED = read_declared(Path("flows"))
MAPPED = for_cluster(DECLARED, IMAGE, POOL)
DEPLOYMENTS: dict[str, dict[str, Any]] = {each["name"]: each for each in MAPPED["deployments"]}


def test_every_deployment_goes_to_the_clusters_pool_with_the_image() -> None:
    assert len(DEPLOYMENTS) == len(DECLARED["deployments"]) > 0
    for deployment in DEPLOYMENTS.values():
        assert deployment["work_pool"]["name"] == "cassandra"
        assert deployment["work_pool"]["job_variables"]["image"] == "flows:abc-123"
        assert deployment["version"] == "abc-123"


def test_a_digest_is_what_the_runs_use() -> None:
    mapped = for_cluster(DECLARED, Image("host/flows", "abc", "sha256:ff"), POOL)
    assert mapped["deployments"][0]["work_pool"]["job_variables"]["image"] == "host/flows@sha256:ff"


def test_loads_are_heavy_and_get_more() -> None:
    assert DEPLOYMENTS["flights"]["work_pool"]["work_queue_name"] == "heavy"
    assert "memory_limit" in DEPLOYMENTS["flights"]["work_pool"]["job_variables"]
    assert DEPLOYMENTS["values"]["work_pool"]["work_queue_name"] == "default"
    assert "memory_limit" not in DEPLOYMENTS["values"]["work_pool"]["job_variables"]


def test_a_flow_starts_with_a_program_of_its_image_unless_it_says_another() -> None:
    declared = {
        "deployments": [
            {"name": "a"},
            {"name": "b", "work_pool": {"job_variables": {"command": "prefect flow-run execute"}}},
        ]
    }
    ours, theirs = (
        one["work_pool"]["job_variables"]["command"]
        for one in for_cluster(declared, IMAGE, POOL)["deployments"]
    )
    *python, module = shlex.split(ours)
    assert python == ["python", "-P", "-m"]
    assert find_spec(module) is not None
    assert theirs == "prefect flow-run execute"


def test_what_a_deployment_says_wins_over_its_queue() -> None:
    declared = {
        "deployments": [
            {
                "name": "one",
                "work_pool": {
                    "name": "local",
                    "work_queue_name": "loads",
                    "job_variables": {"memory_limit": "4Gi"},
                },
            }
        ]
    }
    (one,) = for_cluster(declared, IMAGE, POOL)["deployments"]
    assert one["work_pool"]["job_variables"]["memory_limit"] == "4Gi"


def test_every_flow_with_a_cluster_logs_in_as_the_role_of_its_keyspace() -> None:
    roles = {flow_role(name) for name in load_keyspaces(Path("flows/keyspaces.yaml")).keyspaces}
    found = {
        name: one["work_pool"]["job_variables"].get("login") for name, one in DEPLOYMENTS.items()
    }
    assert {login.replace("-", "_") for login in found.values() if login} == roles
    for name, login in found.items():
        cluster = DEPLOYMENTS[name]["parameters"].get("cluster")
        assert login == (f"{cluster}-flow" if cluster else None)


def test_nothing_is_built_and_the_code_is_in_the_image() -> None:
    assert "build" not in MAPPED
    assert MAPPED["pull"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": "/opt/flows-root"}}
    ]
    (one,) = for_cluster({"deployments": [{"name": "a", "pull": [], "build": []}]}, IMAGE, POOL)[
        "deployments"
    ]
    assert set(one) == {"name", "work_pool", "version"}


def test_the_rest_is_handed_on_and_the_source_is_left_alone() -> None:
    before = yaml.safe_dump(DECLARED)
    for declared in DECLARED["deployments"]:
        mapped = DEPLOYMENTS[declared["name"]]
        for key in declared.keys() - {"work_pool", "version"}:
            assert mapped[key] == declared[key]
    assert yaml.safe_dump(DECLARED) == before


@pytest.mark.parametrize("declared", [{}, {"deployments": []}])
def test_a_file_without_deployments_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="declares no deployments"):
        for_cluster(declared, IMAGE, POOL)


@pytest.mark.parametrize(
    ("declared", "queues", "expected"),
    [
        ("default", ("default",), "default"),
        ("loads", ("default", "heavy"), "heavy"),
        ("heavy", ("default", "heavy"), "heavy"),
        ("loads", ("default",), "default"),
        ("nightly", ("default", "nightly"), "nightly"),
    ],
)
def test_queue(declared: str, queues: tuple[str, ...], expected: str) -> None:
    assert queue_of("one", declared, replace(POOL, queues=queues)) == expected


def test_a_queue_that_the_pool_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Deployment one names the queue nightly") as error:
        queue_of("one", "nightly", POOL)
    assert "default, heavy" in error.value.message


def test_the_pool_is_the_releases() -> None:
    mapped = for_cluster(DECLARED, IMAGE, replace(POOL, name="theirs"))
    assert {one["work_pool"]["name"] for one in mapped["deployments"]} == {"theirs"}


def test_logins_of_the_flows_are_those_of_the_release() -> None:
    require_logins(DECLARED, KEYSPACES, installed())


@pytest.mark.parametrize("lost", KEYSPACES)
def test_a_keyspace_that_the_release_does_not_have_is_named(lost: str) -> None:
    release = installed(set(KEYSPACES) - {lost})
    with pytest.raises(PlatformError, match=f"no login for the role {lost}_flow"):
        require_logins({}, KEYSPACES, release)


def test_a_login_that_the_release_does_not_have_is_named() -> None:
    declared = {"deployments": [{"work_pool": {"job_variables": {"login": "other-reader"}}}]}
    with pytest.raises(PlatformError, match="no login for the role other_reader"):
        require_logins(declared, [], installed())


def test_blocks_name_the_service_and_the_mounted_login() -> None:
    target = target_of(PLAIN, ["values_demo"])
    assert target.connection() == {
        "contact_points": ["pc-cassandra"],
        "port": 9042,
        "local_datacenter": "dc1",
        "tls": None,
    }
    assert target.logins == {"values_demo": "/etc/prefect-cassandra/login"}


def test_blocks_trust_the_authority_that_is_mounted_into_the_flows() -> None:
    assert target_of(ENCRYPTED, []).tls == Tls(ca_file=Path(ENCRYPTED.ca_file), verify_host=False)


def test_with_the_public_authorities_the_name_counts() -> None:
    target = target_of(EXTERNAL, [])
    assert target.hosts == ("a.example.com", "b.example.com")
    assert (target.port, target.local_datacenter) == (9142, "west")
    assert target.tls == Tls(server_name="a.example.com")


def test_each_deployment_gets_the_label_of_its_version() -> None:
    labels = [f"v{number}-abc" for number in range(len(DECLARED["deployments"]))]
    mapped = for_cluster(DECLARED, IMAGE, POOL, labels)
    assert [one["version"] for one in mapped["deployments"]] == labels
    assert labels


def test_a_trigger_says_where_it_is_declared() -> None:
    triggers = [{"enabled": True, "description": "After a file."}, {"enabled": True}]
    declared = {"deployments": [{"name": "one", "triggers": triggers}]}
    (mapped,) = for_cluster(declared, IMAGE, POOL)["deployments"]
    assert [trigger["description"] for trigger in mapped["triggers"]] == [
        "After a file. Declared in prefect.yaml for deployment one.",
        "Declared in prefect.yaml for deployment one.",
    ]
    assert "description" not in triggers[1]
