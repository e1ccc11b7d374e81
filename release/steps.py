"""A release, step by step: packages, images, chart, papers; then what was pushed is looked at."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube import images
from prefect_cassandra.kube.images import Image
from prefect_cassandra.kube.publishing import fetch, publish
from prefect_cassandra.kube.tools import require, run
from release import chart, packages, provenance, sbom
from release.project import version_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from release.chart import Depot

FOLDER = "dist"


@dataclass(frozen=True, slots=True)
class Order:
    """What to release where.

    Args:
        root: Folder of the project.
        depot: Registry for images and chart.
        builder: Who does it, as a URI.
        invocation: Which run of the builder it is, as a URI; may be empty.
        python_image: Base image by digest; empty for the one the Dockerfiles name.
    """

    root: Path
    depot: Depot
    builder: str
    invocation: str = ""
    python_image: str = ""

    @property
    def out(self) -> Path:
        """Return the folder of all files that are made."""
        return self.root / FOLDER


@dataclass(frozen=True, slots=True)
class Released:
    """What a release made.

    Args:
        version: Its version.
        images: The platform's and the flows' image by `platform` and `flows`, with digests.
        chart: Name of the chart in the registry, without a scheme.
        chart_digest: Its digest, `sha256:...`.
        files: All files, checksums and provenance included.
    """

    version: str
    images: dict[str, Image]
    chart: str
    chart_digest: str
    files: tuple[Path, ...]

    def summary(self) -> dict[str, Any]:
        """Return names and digests for programs, as in `release.json`."""
        return {
            "version": self.version,
            "images": {
                key: {"name": one.repository, "tag": self.version, "digest": one.digest}
                for key, one in self.images.items()
            },
            "chart": {"name": self.chart, "tag": self.version, "digest": self.chart_digest},
        }


def perform(order: Order, tell: Callable[[str], None]) -> Released:
    """Make and push everything, and prove that it can be had back.

    Raises:
        ConfigurationError: Versions disagree; nothing was done.
        PlatformError: A step failed; what was pushed stays, and a repeat goes on from there.
    """
    require("docker", "helm", "git", "uv")
    version, started = version_of(order.root), _now()
    # Leftovers of another version would get into the checksums.
    shutil.rmtree(order.out, ignore_errors=True)
    tell(f"building wheel and source distribution of {version}")
    made = packages.build(order.root, order.out / "python", version)
    packages.check_installed(order.root, made, version)
    archive = chart.package(order.root, order.depot.registry, order.out / "chart")
    # All that can be wrong without a registry has been found by now.
    pushed = _images(order, version, tell)
    tell(f"pushing the chart to {order.depot.folder}")
    digest = chart.push(archive, order.depot)
    tell("writing bills of material, provenance and checksums")
    bills = _bills(order, pushed, started)
    released = Released(version, pushed, order.depot.chart, digest, ())
    papers = _papers(order, released, (*made.files, archive, *bills), started)
    tell("pulling chart and images back")
    check(order, released)
    return Released(version, pushed, order.depot.chart, digest, (*made.files, archive, *papers))


def _images(order: Order, version: str, tell: Callable[[str], None]) -> dict[str, Image]:
    """Build both images and push them under the version's tag."""
    planned = images.planned(order.root, python_image=order.python_image)
    names = [_in(order.depot, one) for one in planned]
    # A repeat of a release that did not get through takes what the first one pushed.
    for local, there in zip(planned, names, strict=True):
        if not images.exists(local.tagged) and fetch(there.tagged):
            run(["docker", "tag", there.tagged, local.tagged])
    built = images.build(order.root, tell, python_image=order.python_image)
    pushed = {}
    for key, local, there in zip(("platform", "flows"), built, names, strict=True):
        run(["docker", "tag", local.tagged, there.tagged])
        published = publish(there, version, tell)
        if not published.is_version:
            raise PlatformError(
                f"{there.repository}:{version} is in the registry already, with other content.",
                hint="A released version stays as it is: raise the version in pyproject.toml.",
            )
        pushed[key] = published.image
    return pushed


def _in(depot: Depot, image: Image) -> Image:
    return Image(f"{depot.registry}/{image.repository}", image.tag)


def _bills(order: Order, pushed: dict[str, Image], created: str) -> tuple[Path, ...]:
    """Write the bills of material and return their files."""
    bills = {"wheel": sbom.of_wheel(order.root, created)}
    bills |= {key: sbom.of_image(image, created) for key, image in pushed.items()}
    return tuple(
        _write(order.out / "sbom" / f"{key}.cdx.json", bill) for key, bill in bills.items()
    )


def _papers(
    order: Order, released: Released, files: tuple[Path, ...], started: str
) -> tuple[Path, ...]:
    """Write what is said about all artifacts together and return every paper's file."""
    bills = tuple(path for path in files if path.parent.name == "sbom")
    subjects = [provenance.of_file(path) for path in files]
    subjects += [
        provenance.of_image(one.repository, one.digest) for one in released.images.values()
    ]
    subjects.append(provenance.of_image(released.chart, released.chart_digest))
    build = provenance.Build(
        released.version,
        order.depot.registry,
        order.builder,
        order.invocation,
        started,
        finished=_now(),
        is_clean=not run(["git", "status", "--porcelain"], folder=order.root).strip(),
    )
    statement = provenance.statement(build, subjects, sources(order.root))
    told = _write(order.out / "provenance.intoto.json", statement)
    summary = _write(order.out / "release.json", released.summary())
    sums = order.out / "SHA256SUMS"
    sums.write_text(provenance.checksums([*files, told, summary], order.out), "utf-8")
    return (*bills, told, summary, sums)


def sources(root: Path) -> list[provenance.Thing]:
    """Return what a release is built from: the commit and the locks."""
    commit = images.commit_of(root)
    remote = run(["git", "config", "--default", "", "--get", "remote.origin.url"], folder=root)
    locks = ("uv.lock", "src/prefect_cassandra/local/jars.lock.json")
    return [
        provenance.Thing(provenance.origin(remote.strip()), "gitCommit", commit),
        *(provenance.of_file(root / lock, lock) for lock in locks),
    ]


def check(order: Order, released: Released) -> None:
    """Prove that the released chart names the released images and that they are there.

    Raises:
        PlatformError: It does not, or they are not.
    """
    named = chart.images_as_installed(order.depot, released.version)
    ours = {f"{one.repository}:{released.version}": one for one in released.images.values()}
    if missing := sorted(ours.keys() - named):
        instead = ", ".join(sorted(named))
        raise PlatformError(f"The released chart names {instead}, not {', '.join(missing)}.")
    for name, image in ours.items():
        if not fetch(name) or images.known_digest(name, image.repository) != image.digest:
            raise PlatformError(f"{name} in the registry is not what was pushed as {image.digest}.")


def _write(path: Path, body: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    return path


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
