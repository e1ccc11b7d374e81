from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.kubectl import Release
from prefect_cassandra.kube.services import find_service, service_name

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = Release("pc", "prefect", "kind-x")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("pc-server", ("pc-server", "prefect")),
        ("pc-server.other", ("pc-server", "other")),
        ("pc-server.other.svc", ("pc-server", "other")),
        ("pc-server.other.svc.cluster.local", ("pc-server", "other")),
        ("pc-server.other.svc.cluster.local.", ("pc-server", "other")),
        ("prefect.lan", ("prefect", "lan")),
        ("prefect.example.com", None),
        ("a.b.c.svc", None),
        ("10.1.2.3", None),
        ("::1", None),
        ("[::1]", None),
        ("", None),
    ],
)
def test_names_of_services(host: str, expected: tuple[str, str] | None) -> None:
    assert service_name(host, "prefect") == expected


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for a cluster with one Service, `there.other`; returns what it was asked."""
    asked = tmp_path / "asked"
    program = tmp_path / "kubectl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n'
        'case "$*" in *"--namespace other get service there "*) echo "{}";;\n'
        '*"--namespace secret "*) echo "Error from server (Forbidden): x" >&2; exit 1;;\n'
        '*) echo "Error from server (NotFound): x" >&2; exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return asked


def test_a_service_is_found_where_it_is(kubectl: Path) -> None:
    # An empty object stands for it in the answer, and is still an answer.
    found = find_service(RELEASE, "there.other")
    assert found == (Release("pc", "other", "kind-x"), "there")
    assert "--context kind-x --namespace other" in kubectl.read_text()


@pytest.mark.usefixtures("kubectl")
def test_a_name_that_only_reads_like_one_is_a_host() -> None:
    assert find_service(RELEASE, "prefect.lan") is None


def test_a_host_elsewhere_is_not_asked_for(kubectl: Path) -> None:
    assert find_service(RELEASE, "prefect.example.com") is None
    assert not kubectl.exists()


@pytest.mark.usefixtures("kubectl")
def test_a_namespace_that_may_not_be_looked_at_is_a_host_unless_the_name_says_service() -> None:
    assert find_service(RELEASE, "cassandra.secret") is None
    with pytest.raises(ToolError, match="Forbidden"):
        find_service(RELEASE, "cassandra.secret.svc")
