"""Images into a registry: under the tag of their content, and under the version the chart asks for.

The tag of a version is given once. Nodes that have an image by that name do not ask for it again,
so a tag that moved would run old code here and new code there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.images import Image, push
from prefect_cassandra.kube.tools import attempt, run

if TYPE_CHECKING:
    from collections.abc import Callable

_PULL_TIMEOUT = 900.0
# What registries say of a tag they do not have: Docker's own store, and containerd's.
_ABSENT = ("manifest unknown", "not found")


@dataclass(frozen=True, slots=True)
class Published:
    """One image in a registry.

    Args:
        image: The image, with the digest that the registry gave it.
        version: The tag that the chart asks for.
        is_version: Whether that tag is this image; false when it is another build's.
    """

    image: Image
    version: str
    is_version: bool


def publish(image: Image, version: str, tell: Callable[[str], None]) -> Published:
    """Push an image under its own tag and, unless another build has it, under a version's.

    Args:
        image: An image of this machine's Docker, named as in the registry.
        version: Tag that the chart asks for without being told another.
        tell: Called with a line for each thing that is about to be done.

    Raises:
        ToolError: Docker failed; quotes its last lines.
    """
    there = push(image, tell)
    named = f"{image.repository}:{version}"
    wanted = image_id(image.tagged)
    if fetch(named):
        return Published(there, version, is_version=image_id(named) == wanted)
    tell(f"pushing image {named}")
    run(["docker", "tag", image.tagged, named])
    run(["docker", "push", named], timeout=_PULL_TIMEOUT)
    return Published(there, version, is_version=True)


def fetch(name: str) -> bool:
    """Pull an image; false when its registry has none of that name.

    Raises:
        ToolError: The registry does not answer or refuses; quotes the last lines.
    """
    done = attempt(["docker", "pull", "--quiet", name], timeout=_PULL_TIMEOUT)
    if done.code and not is_absent(done.errors):
        raise ToolError(
            f"Docker cannot tell whether {name} exists:\n{done.tail()}",
            hint="Log in with `docker login`, and check that the registry's name is right.",
        )
    return done.code == 0


def is_absent(said: str) -> bool:
    """Tell whether Docker's complaint about a pull means that there is no such image."""
    return any(words in said.lower() for words in _ABSENT)


def image_id(name: str) -> str:
    """Return by what Docker knows the content of an image, whatever it is called.

    Raises:
        ToolError: Docker has no such image.
    """
    return run(["docker", "image", "inspect", "--format", "{{.Id}}", name]).strip()


def advice(published: Published, key: str) -> str:
    """Return what to set in the chart for an image whose version's tag is another build's.

    Args:
        published: The image.
        key: Its name in the chart's values: `platform` or `flows`.
    """
    image = published.image
    return (
        f"{image.repository}:{published.version} is another build and stays as it is; "
        f"install this one with --set images.{key}.digest={image.digest}"
    )
