"""Bills of material in CycloneDX: of the wheel from the lock, of an image from what is in it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.tools import run

if TYPE_CHECKING:
    from prefect_cassandra.kube.images import Image

SPECIFICATION = "1.5"
_INVENTORY = Path(__file__).with_name("inventory.py")


def of_wheel(root: Path, created: str) -> dict[str, Any]:
    """Return the bill of the wheel: every package of the lock that it or an extra can bring.

    Args:
        root: Folder of the project.
        created: Time of the release, ISO 8601.

    Raises:
        ToolError: uv failed; quotes its last lines.
    """
    command = ["uv", "export", "--locked", "--no-dev", "--no-default-groups", "--all-extras"]
    features = ["--preview-features", "sbom-export", "--format", f"cyclonedx{SPECIFICATION}"]
    bill: dict[str, Any] = json.loads(run([*command, *features], folder=root))
    bill["metadata"]["timestamp"] = created
    about = bill["metadata"]["component"]
    about["purl"] = f"pkg:pypi/{about['name']}@{about['version']}"
    return bill


def of_image(image: Image, created: str) -> dict[str, Any]:
    """Return the bill of an image that this machine's Docker has.

    Args:
        image: The image, with its digest.
        created: Time of the release, ISO 8601.

    Raises:
        ToolError: The image does not start, or nothing was found in it.
    """
    # The image's own Python tells, without a network and without being able to change anything.
    options = ["--rm", "--network", "none", "--read-only", "--entrypoint", "python"]
    program = _INVENTORY.read_text(encoding="utf-8")
    found = json.loads(run(["docker", "run", *options, image.tagged, "-c", program]))
    components = components_of(found)
    if not found["debian"] or not found["packages"]:
        raise ToolError(f"Nothing seems to be installed in {image.tagged}.")
    return bill_of(image, components, created)


def bill_of(image: Image, components: list[dict[str, Any]], created: str) -> dict[str, Any]:
    """Return a CycloneDX document about an image."""
    name = image.repository.rpartition("/")[2]
    purl = f"pkg:oci/{name}@{quote(image.digest)}?repository_url={quote(image.repository, safe='')}"
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{image.reference} {created}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {
                "type": "container",
                "bom-ref": purl,
                "name": image.repository,
                "version": image.digest,
                "purl": purl,
            },
        },
        "components": components,
    }


def components_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the components of an inventory: the interpreter, Debian's packages, Python's.

    Args:
        found: What `inventory.py` printed.
    """
    python = _component("cpython", found["python"], f"pkg:generic/python@{found['python']}")
    system = [
        _component(
            one["name"],
            one["version"],
            f"pkg:deb/{found['system']}/{quote(one['name'])}@{quote(one['version'])}"
            f"?arch={one['architecture']}&distro={found['codename']}",
        )
        for one in found["debian"]
    ]
    packages = [
        _component(
            one["name"],
            one["version"],
            f"pkg:pypi/{one['name'].lower().replace('_', '-')}@{quote(one['version'])}",
            one["license"],
        )
        for one in found["packages"]
    ]
    return [python, *system, *packages]


def _component(name: str, version: str, purl: str, licence: str = "") -> dict[str, Any]:
    known = {"licenses": [{"expression": licence}]} if licence else {}
    about = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return about | known
