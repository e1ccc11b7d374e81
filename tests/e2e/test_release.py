"""Pushing to a real registry: a version's tag is given once."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.images import Image, known_digest
from prefect_cassandra.kube.publishing import fetch, image_id, publish
from prefect_cassandra.kube.tools import attempt, run
from release.registry import throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def registry() -> Iterator[str]:
    with throwaway(print) as host:
        yield host


def build(folder: Path, name: str, tag: str) -> Image:
    """Build an image that holds nothing but a text."""
    (folder / "text").write_text(f"{tag} {uuid.uuid4()}")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY text /\n")
    image = Image(name, tag)
    run(["docker", "build", "--tag", image.tagged, "."], folder=folder)
    return image


def test_the_tag_of_a_version_is_given_once_and_never_moved(registry: str, tmp_path: Path) -> None:
    name = f"{registry}/data/nothing"
    first = publish(build(tmp_path, name, "a"), "1.2.3", print)
    assert first.is_version
    again = publish(Image(name, "a"), "1.2.3", print)
    assert again == first

    second = publish(build(tmp_path, name, "b"), "1.2.3", print)
    assert not second.is_version
    assert second.image.digest != first.image.digest
    # What the registry has under the version, asked anew, is the first one still.
    run(["docker", "image", "rm", "--no-prune", f"{name}:1.2.3"])
    assert fetch(f"{name}:1.2.3")
    assert known_digest(f"{name}:1.2.3", name) == first.image.digest
    assert image_id(f"{name}:1.2.3") != image_id(f"{name}:b")


def test_a_registry_that_is_not_there_is_no_missing_image(tmp_path: Path) -> None:
    with throwaway(print) as host:
        image = build(tmp_path, f"{host}/data/nothing", "a")
        assert not fetch(image.tagged)
    with pytest.raises(ToolError, match="cannot tell whether"):
        fetch(image.tagged)
    # The names went with the registry.
    assert attempt(["docker", "image", "inspect", image.tagged]).code != 0
