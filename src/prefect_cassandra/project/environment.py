"""The environment in which Prefect means one server and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOOPBACK = "127.0.0.1"
# Settings of ours, and how loud to be: all that is taken over from the user's Prefect.
_KEPT_PREFIXES = ("PREFECT_INTEGRATIONS_", "PREFECT_LOGGING_")


def prefect_environment(home: Path, api_url: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for child processes of Prefect's.

    The user's own profile, API key and server must not leak in, so every other Prefect variable is
    left out and the home folder, where profiles live, is the given one.

    Args:
        home: Prefect's folder.
        api_url: Address of the server's API, on the loopback.
        base: Environment to start from.
    """
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith("PREFECT_") or name.startswith(_KEPT_PREFIXES)
    }
    return kept | {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Prefect's HTTP client heeds proxy variables even for the loopback.
        **_no_proxy(kept),
    }


def _no_proxy(base: Mapping[str, str]) -> dict[str, str]:
    """Add the loopback to what is reached without a proxy, in both spellings."""
    known = base.get("no_proxy") or base.get("NO_PROXY") or ""
    hosts = [host for host in known.split(",") if host.strip()]
    joined = ",".join([*hosts, LOOPBACK, "localhost"])
    return {"no_proxy": joined, "NO_PROXY": joined}
