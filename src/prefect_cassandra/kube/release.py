"""Installs the chart, with these images and the keyspaces of a folder of flows."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from prefect_cassandra.errors import ConfigurationError, PlatformError, ToolError
from prefect_cassandra.kube.kubectl import apply, read_all
from prefect_cassandra.kube.pods import summary, troubles
from prefect_cassandra.kube.tools import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect_cassandra.kube.images import Image
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.schema import Keyspaces

CHART = "charts/prefect-cassandra"
NAMESPACE_FILE = "k8s/namespaces/prefect.yaml"
# Helm ends by itself after its own timeout; ours is for a Helm that does not.
_HELM_TIMEOUT = 600
_LAST_WORDS = 60


def values_of(platform: Image, flows: Image, keyspaces: Keyspaces) -> dict[str, Any]:
    """Return the values that an installation adds to its profile."""
    return {
        "images": {"platform": _image(platform), "flows": _image(flows)},
        "keyspaces": {
            name: {"description": spec.description} for name, spec in keyspaces.keyspaces.items()
        },
    }


def _image(image: Image) -> dict[str, str]:
    return {"repository": image.repository, "tag": image.tag, "digest": image.digest}


def namespace_manifest(root: Path, name: str) -> dict[str, Any]:
    """Return the restricted namespace under a name.

    Raises:
        ConfigurationError: The folder has no such file.
    """
    file = root / NAMESPACE_FILE
    if not file.is_file():
        raise ConfigurationError(f"{root.resolve()} holds no {NAMESPACE_FILE}.")
    manifest: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    manifest["metadata"]["name"] = name
    return manifest


def make_namespace(root: Path, release: Release) -> None:
    """Make the namespace of a release, or put its labels right."""
    apply(release, [namespace_manifest(root, release.namespace)])


def install(
    root: Path,
    release: Release,
    values: dict[str, Any],
    tell: Callable[[str], None],
    profile: str = "values-kind.yaml",
) -> None:
    """Install or upgrade the chart and return when everything is ready.

    Args:
        root: Folder of the project.
        release: Which release.
        values: What is added to the profile.
        tell: Called with a line when what is awaited changes.
        profile: File of values beside the chart.

    Raises:
        ToolError: Helm failed; quotes it and what stands in the way of the pods.
    """
    known = ""

    def tick() -> None:
        nonlocal known
        line = summary(_pods(release))
        if line != known:
            tell(line)
            known = line

    tell(f"installing {CHART} as release {release.name} in namespace {release.namespace}")
    with tempfile.TemporaryDirectory(prefix="prefect-cassandra-") as folder:
        file = Path(folder) / "values.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        command = helm(release, "upgrade", "--install", release.name, str(root / CHART))
        options = ["--values", str(root / CHART / profile), "--values", str(file)]
        wait = ["--wait", "--timeout", f"{_HELM_TIMEOUT}s"]
        try:
            run([*command, *options, *wait], timeout=_HELM_TIMEOUT + _LAST_WORDS, tick=tick)
        except ToolError as error:
            found = "\n".join(troubles(_pods(release)))
            raise ToolError(
                f"{error.message}\n{found}".rstrip(),
                hint=f"`prefect-cassandra doctor {_options(release)}` says what is wrong.",
            ) from error


def _options(release: Release) -> str:
    """Return a release as the options of our commands name it."""
    context = f" --context {release.context}" if release.context else ""
    return f"--release {release.name} --namespace {release.namespace}{context}"


def helm(release: Release, *arguments: str) -> list[str]:
    """Return a Helm command that means this namespace and cluster."""
    context = ["--kube-context", release.context] if release.context else []
    return ["helm", *arguments, "--namespace", release.namespace, *context]


def public_images(root: Path, release: Release, values: dict[str, Any]) -> list[str]:
    """Return the images that the release runs beside ours, by rendering the chart."""
    with tempfile.TemporaryDirectory(prefix="prefect-cassandra-") as folder:
        file = Path(folder) / "values.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        # Without the cluster Helm takes the version of its own library for the cluster's.
        command = helm(release, "template", "--validate", release.name, str(root / CHART))
        profile = root / CHART / "values-kind.yaml"
        text = run([*command, "--values", str(profile), "--values", str(file)])
    ours = {one["repository"] for one in values["images"].values()}
    found = {name for document in yaml.safe_load_all(text) for name in images_in(document)}
    return sorted(name for name in found if name.split("@")[0].rsplit(":", 1)[0] not in ours)


def images_in(node: Any) -> Iterator[str]:
    """Yield the image of every container in a rendered object."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"containers", "initContainers"} and isinstance(value, list):
                yield from (one["image"] for one in value if "image" in one)
            else:
                yield from images_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from images_in(value)


def _pods(release: Release) -> list[dict[str, Any]]:
    """Return the release's pods; none when the cluster does not say, which ends no installation."""
    with suppress(PlatformError):
        return read_all(release, "pods", f"app.kubernetes.io/instance={release.name}")
    return []
