"""Going back to an earlier version: a real Prefect server, a real Cassandra, no cluster."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.cli.app import run
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import DeploymentError, PlatformError
from prefect_cassandra.kube.definitions import described, find_definition, put_definition
from prefect_cassandra.kube.server import Server
from prefect_cassandra.kube.versions import recorded
from prefect_cassandra.ledger.version_store import VersionStore
from prefect_cassandra.ledger.versions import Origin
from prefect_cassandra.project.environment import prefect_environment
from prefect_cassandra.project.naming import deployment_names
from prefect_cassandra.schema import apply
from prefect_cassandra.schema.model import LEDGER
from support.installed import PLAIN, SERVER, installed
from support.kubectl import Kubectl
from support.schema import Ground
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect_cassandra.ledger.versions import Definition

LOGIN = "pc-login-prefect-ledger"


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Any, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("versions"))
    apply(made.config, made.installation)
    return made


@pytest.fixture
def ask(prefect_api: Any) -> Iterator[Server]:
    with closing(Server(prefect_api.stack.api_url, "")) as server:
        yield server


@pytest.fixture
def store(ground: Ground) -> VersionStore:
    return VersionStore(shared_session(ground.role(LEDGER)), f"test-{uuid.uuid4().hex}/pc")


def origin(tag: str) -> Origin:
    return Origin(image=f"flows:{tag}", image_tag=tag, git_commit="abc", created_by="A Person")


def definition(name: str, tag: str, **changes: Any) -> Definition:
    return {
        "flow": name,
        "deployment": {
            "name": "daily",
            "description": f"as of {tag}",
            "tags": [tag],
            "parameters": {"months": [1, 2]},
            "parameter_openapi_schema": {"type": "object", "properties": {"months": {}}},
            "enforce_parameter_schema": True,
            "entrypoint": "flows/x.py:x",
            "pull_steps": [
                {"prefect.deployments.steps.set_working_directory": {"directory": "/opt"}}
            ],
            "work_pool_name": "local",
            "work_queue_name": "default",
            "job_variables": {"image": f"flows:{tag}"},
            "schedules": [
                {
                    "active": True,
                    "slug": "daily",
                    "schedule": {"cron": "0 4 * * *", "timezone": "UTC"},
                    "parameters": {"months": [3]},
                }
            ],
            "concurrency_limit": 2,
            "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
        }
        | changes,
        "automations": [
            {
                "name": f"{name} after a file",
                "description": described("", "daily"),
                "enabled": True,
                "tags": [],
                "trigger": {
                    "type": "event",
                    "posture": "Reactive",
                    "expect": ["file.arrived"],
                    "match": {"prefect.resource.id": "prefect.deployment.{this deployment}"},
                    "threshold": 1,
                    "within": 0,
                },
                "actions": [
                    {
                        "type": "run-deployment",
                        "source": "selected",
                        "deployment_id": "{this deployment}",
                    }
                ],
                "actions_on_trigger": [],
                "actions_on_resolve": [],
            }
        ],
    }


@dataclass
class Deployed:
    """A deployment with versions of its own, at the server and in the ledger."""

    store: VersionStore
    ask: Server
    flow: str

    @property
    def name(self) -> str:
        return f"{self.flow}/daily"

    def push(
        self, tag: str, *, between: Callable[[], object] = lambda: None, **changes: Any
    ) -> Definition:
        """Register another version; returns the definition as the server has it.

        Args:
            tag: Of its image.
            between: Called when it is registered and not yet noted.
            changes: Of the deployment.
        """
        with recorded(self.store, self.ask, [self.name], origin(tag)) as (made,):
            put_definition(self.ask, definition(self.flow, tag, **changes), made.label)
            between()
        return self.served()[1]

    def served(self) -> tuple[str, Definition]:
        found = find_definition(self.ask, self.name)
        assert found is not None
        return found

    def states(self) -> dict[int, str]:
        return {one.number: one.state for one in self.store.read(self.name)}


@pytest.fixture
def deployed(store: VersionStore, ask: Server) -> Deployed:
    return Deployed(store, ask, f"flow-{uuid.uuid4().hex[:8]}")


def test_a_definition_comes_back_whole(deployed: Deployed) -> None:
    first = deployed.push("one")
    second = deployed.push("two", schedules=[], concurrency_limit=None, parameters={})
    assert second["deployment"]["schedules"] == []
    assert second["deployment"]["concurrency_limit"] is None
    put_definition(deployed.ask, first, "again")
    assert deployed.served() == ("again", first)
    schedules = first["deployment"]["schedules"]
    assert [one["slug"] for one in schedules] == ["daily"]
    assert schedules[0]["parameters"] == {"months": [3]}
    (automation,) = first["automations"]
    assert automation["actions"][0]["deployment_id"] == "{this deployment}"


def test_a_pause_is_a_persons_and_stays(deployed: Deployed) -> None:
    first = deployed.push("one")
    path = f"/api/deployments/name/{deployed.name}"
    identity = deployed.ask("GET", path)["id"]
    deployed.ask("PATCH", f"/api/deployments/{identity}", {"paused": True})
    put_definition(deployed.ask, first, "again")
    assert deployed.ask("GET", path)["paused"] is True


def test_what_the_server_refuses_is_noted_as_failed(deployed: Deployed) -> None:
    deployed.push("one")
    with pytest.raises(PlatformError, match="Work pool"):
        deployed.push("two", work_pool_name="nowhere")
    assert deployed.states() == {2: "FAILED", 1: "REGISTERED"}
    assert deployed.served()[0] == "v1-one"


def test_a_push_that_was_cut_off_is_never_gone_back_to(
    deployed: Deployed, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its triggers come last, so it may be registered and not be whole."""
    deployed.push("one")
    with pytest.raises(KeyboardInterrupt):
        deployed.push("two", between=interrupt)
    assert deployed.states() == {2: "BEGUN", 1: "REGISTERED"}
    deployed.push("three")
    assert deployed.states() == {3: "REGISTERED", 2: "BEGUN", 1: "REGISTERED"}
    assert run(["flows", "rollback", "daily", "--to", "2", *command]) == 2
    assert "version 2 of" in capsys.readouterr().err
    assert run(["flows", "rollback", "daily", *command]) == 0
    assert deployed.served()[0] == "v4-one"


def test_a_version_that_was_overtaken_is_no_failure_of_the_server(deployed: Deployed) -> None:
    with pytest.raises(PlatformError, match="another version of"):
        deployed.push("one", between=lambda: deployed.push("two"))
    assert deployed.states() == {2: "REGISTERED", 1: "BEGUN"}


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    found = Kubectl(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(found.folder), prepend=":")
    return found


@pytest.fixture
def command(deployed: Deployed, ground: Ground, kubectl: Kubectl) -> list[str]:
    """The options that mean the release whose parts are the real servers of this run."""
    namespace, name = deployed.store.release.split("/")
    login = ground.role(LEDGER).login
    assert login is not None
    assert login.folder is not None
    points = ground.config.contact_points
    kubectl.add_release(
        installed(
            namespace=namespace,
            cassandra=replace(
                PLAIN, contact_points=points, port=ground.config.port, local_datacenter=""
            ),
            server=replace(SERVER, service=None, api_url=deployed.ask.api_url, auth_secret=None),
            logins=installed().logins | {"prefect_ledger": LOGIN},
        )
    )
    files = {key: (login.folder / key).read_text() for key in ("username", "password")}
    kubectl.add_secret(namespace, LOGIN, **files)
    return ["--release", name, "--namespace", namespace]


def shown(command: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["flows", "history", *command, "--output", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_back_and_forth(
    deployed: Deployed, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = deployed.push("one"), deployed.push("two", parameters={})
    assert run(["flows", "rollback", "daily", *command]) == 0
    assert "version 3, v3-one, made of version 1, with flows:one" in capsys.readouterr().out
    assert deployed.served() == ("v3-one", first)
    # The one before the third is the second.
    assert run(["flows", "rollback", deployed.name, *command]) == 0
    assert deployed.served() == ("v4-two", second)
    assert run(["flows", "rollback", "daily", "--to", "1", *command]) == 0
    assert deployed.served() == ("v5-one", first)

    found = shown([deployed.name, *command], capsys)
    assert [(one["version"], one["restored_from"], one["state"]) for one in found] == [
        (5, 1, "in use"),
        (4, 2, "superseded"),
        (3, 1, "superseded"),
        (2, None, "superseded"),
        (1, None, "superseded"),
    ]
    assert found[0]["kubernetes_user"] == "tester"
    assert found[0]["git_commit"] == "abc"
    assert [one["version"] for one in shown(command, capsys)] == [5]


def test_history_is_a_table_for_people(
    deployed: Deployed, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.push("one")
    assert run(["flows", "history", deployed.name, *command]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["deployment", "version", "state"]
    for word in (deployed.name, "1", "in use", "one", "abc", "A Person"):
        assert word in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rollback", "daily"], "has no version before version 1"),
        (["rollback", "daily", "--to", "7"], "has no version 7; it has: 1"),
        (["rollback", "weekly"], "knows no deployment 'weekly'"),
        (["promote", "daily"], "both where the version is and where it should go"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    deployed: Deployed,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    before = deployed.push("one")
    assert run(["flows", *arguments, *command]) == 2
    assert said in capsys.readouterr().err
    assert deployed.served() == ("v1-one", before)
    assert deployed.states() == {1: "REGISTERED"}


def test_a_ledger_that_refuses_us_is_said_first(
    deployed: Deployed, command: list[str], kubectl: Kubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    before = deployed.push("one")
    namespace = deployed.store.release.split("/")[0]
    kubectl.add_secret(namespace, LOGIN, username="prefect_ledger", password="another")
    assert run(["flows", "rollback", "daily", *command]) == 3
    said = f"The ledger of release pc in namespace {namespace} cannot be reached"
    assert said in capsys.readouterr().err
    assert deployed.served() == ("v1-one", before)


def test_a_push_that_could_not_be_recorded_does_not_even_build(
    command: list[str], kubectl: Kubectl, store: VersionStore, capsys: pytest.CaptureFixture[str]
) -> None:
    called = kubectl.folder / "docker.called"
    docker = kubectl.folder / "docker"
    docker.write_text(f"#!/bin/sh\ntouch {called}\n")
    docker.chmod(0o755)
    namespace = store.release.split("/")[0]
    kubectl.add_secret(namespace, LOGIN, username="prefect_ledger", password="another")
    where = ["--root", str(ROOT), "--registry", "registry.example.org/data"]
    assert run(["flows", "push", *where, *command]) == 3
    assert "cannot be reached" in capsys.readouterr().err
    assert not called.exists()


def test_deployments_are_called_by_their_flows(tmp_path: Path) -> None:
    environment = prefect_environment(tmp_path, "http://127.0.0.1:9/api", os.environ)
    file = ROOT / "flows" / "prefect.yaml"
    assert deployment_names(file, folder=ROOT, environment=environment) == (
        "values/values",
        "flights/flights",
        "weather-api/weather-api",
        "sensor-series/sensor-series",
        "sensor-part/sensor-part",
        "load-part/load-part",
        "unload-part/unload-part",
        "failing/failing",
    )
    (tmp_path / "prefect.yaml").write_text("deployments: [{name: a, entrypoint: flows/x.py:x}]")
    with pytest.raises(DeploymentError, match=r"cannot be imported:[\s\S]*x\.py"):
        deployment_names(tmp_path / "prefect.yaml", folder=ROOT, environment=environment)
