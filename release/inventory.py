"""What is installed in an image, as JSON; run inside of it, with the standard library alone."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path

DPKG = Path("/var/lib/dpkg/status")
OS_RELEASE = Path("/etc/os-release")


def paragraphs(text: str) -> list[dict[str, str]]:
    """Read Debian's control format: `Key: value` lines, paragraphs between empty lines."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line[0].isspace()]
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if fields:
            found.append({key: value.strip() for key, value in fields.items()})
    return found


def debian_packages(status: str) -> list[dict[str, str]]:
    """Return name, version and architecture of each package that is installed."""
    return [
        {
            "name": one["Package"],
            "version": one["Version"],
            "architecture": one.get("Architecture", "all"),
        }
        for one in paragraphs(status)
        # A removed package whose configuration is left has a paragraph too.
        if one.get("Status", "").endswith(" installed") and "Version" in one
    ]


def python_packages() -> list[dict[str, str]]:
    """Return name, version and, where it is said in one word, licence of each distribution."""
    found = {}
    for one in distributions():
        name = one.metadata["Name"]
        licence = "".join(one.metadata.get_all("License-Expression") or ())
        found[name.lower()] = {"name": name, "version": one.version, "license": licence}
    return [found[name] for name in sorted(found)]


def main() -> None:
    """Print it."""
    release = OS_RELEASE.read_text() if OS_RELEASE.exists() else ""
    system = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    status = DPKG.read_text(errors="replace") if DPKG.exists() else ""
    found = {
        "python": platform.python_version(),
        "system": system.get("ID", "").strip('"'),
        "codename": system.get("VERSION_CODENAME", "").strip('"'),
        "debian": debian_packages(status),
        "packages": python_packages(),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
