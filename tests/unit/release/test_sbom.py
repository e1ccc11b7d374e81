from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from prefect_cassandra.kube.images import Image
from release import inventory
from release.sbom import bill_of, components_of

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12
Depends: libgcc-s1 (>= 3.0)
Description: GNU C Library: shared libraries
 Contains the standard libraries.
 Version: not a field, but a line of the description

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2026a-0+deb13u1
"""
FOUND: dict[str, Any] = {
    "python": "3.13.5",
    "system": "debian",
    "codename": "trixie",
    "debian": [{"name": "libstdc++6", "version": "1:14.2.0-19", "architecture": "amd64"}],
    "packages": [
        {"name": "Typing_Extensions", "version": "4.15.0", "license": "PSF-2.0"},
        {"name": "prefect-cassandra", "version": "0.1.0", "license": ""},
    ],
}
IMAGE = Image("registry.example.org/data/prefect-cassandra-flows", "c-d", "sha256:" + "ab" * 32)


def test_only_installed_packages_are_counted() -> None:
    assert inventory.debian_packages(STATUS) == [
        {"name": "libc6", "version": "2.41-12", "architecture": "amd64"},
        {"name": "tzdata", "version": "2026a-0+deb13u1", "architecture": "all"},
    ]


def test_the_inventory_runs_by_itself_and_finds_what_is_installed() -> None:
    """As in an image: a text for `python -c`, with nothing of ours to import."""
    program = inventory.__file__
    assert program is not None
    with open(program, encoding="utf-8") as file:  # noqa: PTH123 -- the path may be None for mypy
        text = file.read()
    done = subprocess.run(
        [sys.executable, "-I", "-c", text], capture_output=True, text=True, check=True, timeout=30
    )
    found = json.loads(done.stdout)
    assert {"prefect", "cassandra-driver"} <= {one["name"] for one in found["packages"]}
    assert found["python"].startswith("3.")


def test_components_are_named_as_other_tools_name_them() -> None:
    found = [one["purl"] for one in components_of(FOUND)]
    assert found == [
        "pkg:generic/python@3.13.5",
        "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19?arch=amd64&distro=trixie",
        "pkg:pypi/typing-extensions@4.15.0",
        "pkg:pypi/prefect-cassandra@0.1.0",
    ]


def test_a_licence_is_told_where_it_is_known() -> None:
    licences = {one["name"]: one.get("licenses") for one in components_of(FOUND)}
    assert licences["Typing_Extensions"] == [{"expression": "PSF-2.0"}]
    assert licences["prefect-cassandra"] is None


def test_a_bill_is_about_one_digest_and_can_be_made_again() -> None:
    components = components_of(FOUND)
    bill = bill_of(IMAGE, components, "2026-01-02T03:04:05Z")
    assert bill == bill_of(IMAGE, components, "2026-01-02T03:04:05Z")
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    about = bill["metadata"]["component"]
    assert about["version"] == IMAGE.digest
    assert about["purl"].startswith("pkg:oci/prefect-cassandra-flows@sha256%3Aabab")
    references = [one["bom-ref"] for one in bill["components"]]
    assert len(set(references)) == len(references) == 4
    other = bill_of(IMAGE, components, "2026-01-03T03:04:05Z")
    assert other["serialNumber"] != bill["serialNumber"]


@pytest.mark.parametrize("text", ["", "\n\n", "Package: half\nStatus: install ok installed\n"])
def test_a_package_without_a_version_is_none(text: str) -> None:
    assert inventory.debian_packages(text) == []
