"""The two images: their tags, their builds, their way into a cluster.

A tag is made of the commit and of a hash over every file of the project that the image is built
from: an image whose tag exists here is not built again, and a node that has it needs no other copy.
The base image is part of it only where another one is asked for, so what has to be the same to the
byte is named by its digest.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError, ToolError
from prefect_cassandra.kube.tools import attempt, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PLATFORM = "prefect-cassandra-platform"
FLOWS = "prefect-cassandra-flows"

_PLATFORM_FILE = "docker/platform.Dockerfile"
_FLOW_FILE = "docker/flow.Dockerfile"
# What `.dockerignore` lets through, by image; the flow image is made of the platform's as well.
_LOCK = ("pyproject.toml", "uv.lock")
_PLATFORM_PARTS = (*_LOCK, "README.md", "LICENSE", "src", "docker/ca", _PLATFORM_FILE)
_FLOW_PARTS = (*_LOCK, "flows", "docker/ca", _FLOW_FILE)
_LEFT_OUT = {"__pycache__", ".gitignore"}
_COMMIT_LENGTH = 10
_DIGEST_LENGTH = 12
_BUILD_TIMEOUT = 1800.0
_LOAD_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Image:
    """One image.

    Args:
        repository: Name without a tag.
        tag: Immutable tag.
        digest: `sha256:...` as a registry knows it; empty for an image that is in none.
    """

    repository: str
    tag: str
    digest: str = ""

    @property
    def tagged(self) -> str:
        """Return the name with the tag, by which Docker knows it here."""
        return f"{self.repository}:{self.tag}"

    @property
    def reference(self) -> str:
        """Return the name that a pod should use: by digest where there is one."""
        return f"{self.repository}@{self.digest}" if self.digest else self.tagged


def content_digest(root: Path, parts: Iterable[str], *also: str) -> str:
    """Return a hash over files, their names and their executable bits, in no matter what order.

    Args:
        root: Folder that the parts are in.
        parts: Files and folders; one that is missing counts as empty.
        also: Texts that count as well.
    """
    total = hashlib.sha256()
    for path in sorted(_files(root, parts)):
        name = path.relative_to(root).as_posix()
        mode = "x" if path.stat().st_mode & 0o100 else "-"
        body = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{mode}\0{body}\n".encode())
    for text in also:
        total.update(f"{text}\n".encode())
    return total.hexdigest()[:_DIGEST_LENGTH]


def _files(root: Path, parts: Iterable[str]) -> Iterator[Path]:
    for part in parts:
        path = root / part
        found = path.rglob("*") if path.is_dir() else [path]
        for one in found:
            inside = one.relative_to(root).parts
            if one.is_file() and not _LEFT_OUT & set(inside) and one.suffix != ".pyc":
                yield one


def make_tag(commit: str, digest: str) -> str:
    """Return the tag of a content: `<commit>-<digest>`; `local` stands for no commit."""
    return f"{commit[:_COMMIT_LENGTH] or 'local'}-{digest}"


def commit_of(root: Path) -> str:
    """Return the commit that a folder is at; empty where there is no git."""
    try:
        done = attempt(["git", "rev-parse", "HEAD"], folder=root, timeout=20)
    except ConfigurationError:
        return ""
    return done.output.strip() if done.code == 0 else ""


def planned(root: Path, registry: str = "", *, python_image: str = "") -> tuple[Image, Image]:
    """Return what the platform and the flow image of a folder are called, built or not.

    Args:
        root: Folder with `docker/`, `src/` and `flows/`.
        registry: Where they are pushed to, such as `HOST/PROJECT`; empty for this machine only.
        python_image: Base image instead of the one in the Dockerfiles, best by its digest.

    Raises:
        ConfigurationError: The folder is another one.
    """
    for part in (_PLATFORM_FILE, _FLOW_FILE, *_LOCK):
        if not (root / part).is_file():
            raise ConfigurationError(
                f"{root.resolve()} holds no {part}, from which the images are built.",
                hint="Run it in the folder of the project, or name that folder with --root.",
            )
    commit, prefix = commit_of(root), f"{registry.rstrip('/')}/" if registry else ""
    platform = content_digest(root, _PLATFORM_PARTS, *_base(python_image).values())
    flows = content_digest(root, _FLOW_PARTS, platform)
    return (
        Image(f"{prefix}{PLATFORM}", make_tag(commit, platform)),
        Image(f"{prefix}{FLOWS}", make_tag(commit, flows)),
    )


def _base(python_image: str) -> dict[str, str]:
    """Return the build argument for another base image; none for the Dockerfiles' own."""
    return {"PYTHON_IMAGE": python_image} if python_image else {}


def build(
    root: Path, tell: Callable[[str], None], registry: str = "", *, python_image: str = ""
) -> tuple[Image, Image]:
    """Build the platform image and the flow image where they do not exist.

    The arguments are those of `planned`.

    Raises:
        ToolError: Docker failed; quotes its last lines.
    """
    platform, flows = planned(root, registry, python_image=python_image)
    base = _base(python_image)
    _build_one(root, platform, _PLATFORM_FILE, base, tell)
    _build_one(root, flows, _FLOW_FILE, base | {"PLATFORM": platform.tagged}, tell)
    return platform, flows


def build_command(
    image: Image, file: str, arguments: dict[str, str], *, revision: str, created: str
) -> list[str]:
    """Return the command that builds one image from the folder it is run in."""
    values = {
        "VERSION": f"{version('prefect-cassandra')}+{image.tag}",
        "REVISION": revision or "unknown",
        "CREATED": created,
    } | arguments
    options = [
        word for name, value in values.items() for word in ("--build-arg", f"{name}={value}")
    ]
    return ["docker", "build", "--file", file, "--tag", image.tagged, *options, "."]


def _build_one(
    root: Path, image: Image, file: str, arguments: dict[str, str], tell: Callable[[str], None]
) -> None:
    if exists(image.tagged):
        tell(f"image {image.tagged} is there")
        return
    tell(f"building image {image.tagged}")
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = build_command(image, file, arguments, revision=commit_of(root), created=created)
    run(command, folder=root, timeout=_BUILD_TIMEOUT)


def exists(name: str) -> bool:
    """Tell whether Docker has an image here."""
    return attempt(["docker", "image", "inspect", name], timeout=60).code == 0


def load(cluster: str, names: Iterable[str], tell: Callable[[str], None]) -> None:
    """Put images of this machine's Docker on the nodes of a kind cluster."""
    for name in names:
        tell(f"loading image {name} into kind")
        run(["kind", "load", "docker-image", name, "--name", cluster], timeout=_LOAD_TIMEOUT)


def push(image: Image, tell: Callable[[str], None]) -> Image:
    """Push an image and return it with the digest that its registry gave it.

    Raises:
        ToolError: Docker failed, or knows no digest afterwards.
    """
    tell(f"pushing image {image.tagged}")
    run(["docker", "push", image.tagged], timeout=_BUILD_TIMEOUT)
    digest = known_digest(image.tagged, image.repository)
    if digest is None:
        raise ToolError(f"{image.tagged} was pushed, but Docker knows no digest of it.")
    return Image(image.repository, image.tag, digest)


def known_digest(name: str, repository: str) -> str | None:
    """Return the digest that a repository gave to an image of this machine's Docker."""
    said = run(["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", name])
    return digest_of(repository, json.loads(said) or [])


def digest_of(repository: str, digests: Iterable[str]) -> str | None:
    """Return the digest under which a repository has an image, None when it has none.

    Args:
        repository: Name without a tag.
        digests: `repository@sha256:...`, as Docker lists them.
    """
    for one in digests:
        name, _, digest = one.partition("@")
        if name == repository and digest:
            return digest
    return None
