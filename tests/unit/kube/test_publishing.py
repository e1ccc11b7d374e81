from __future__ import annotations

import pytest

from prefect_cassandra.kube.images import Image
from prefect_cassandra.kube.publishing import Published, advice, is_absent


@pytest.mark.parametrize(
    ("said", "absent"),
    [
        ("manifest for h:5000/flows:1 not found: manifest unknown: manifest unknown", True),
        ("failed to resolve reference: h:5000/flows:1: not found", True),
        ("Get https://h/v2/: dial tcp: connection refused", False),
        ("pull access denied for flows, may require 'docker login'", False),
        ("toomanyrequests: too many failed login attempts", False),
    ],
)
def test_only_a_registry_that_answers_can_lack_an_image(said: str, *, absent: bool) -> None:
    assert is_absent(said) is absent


def test_another_build_is_named_by_its_digest() -> None:
    image = Image("registry.example.org/data/prefect-cassandra-flows", "c-d", "sha256:ab")
    said = advice(Published(image, "1.2.3", is_version=False), "flows")
    assert "prefect-cassandra-flows:1.2.3 is another build" in said
    assert said.endswith("--set images.flows.digest=sha256:ab")
