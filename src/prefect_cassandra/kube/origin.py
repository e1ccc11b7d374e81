"""Who pushes what: the commit of a folder, the person here, and what the cluster calls them."""

from __future__ import annotations

import getpass
import json
import socket
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError, PlatformError
from prefect_cassandra.kube.images import commit_of
from prefect_cassandra.kube.tools import attempt
from prefect_cassandra.ledger.versions import Origin

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.kube.images import Image
    from prefect_cassandra.kube.kubectl import Release

_TIMEOUT = 20.0
# After a commit: files of the folder differ from it.
CHANGED = "+changes"


def origin_of(root: Path, release: Release, image: Image) -> Origin:
    """Return what a version pushed from a folder is made of, and by whom."""
    return Origin(
        image=image.reference,
        image_tag=image.tag,
        git_commit=revision_of(root),
        created_by=person(root),
        kubernetes_user=kubernetes_user(release),
    )


def revision_of(root: Path) -> str:
    """Return the commit of a folder, marked when files differ from it; empty without git."""
    commit = commit_of(root)
    if not commit:
        return ""
    done = attempt(["git", "status", "--porcelain", "."], folder=root, timeout=_TIMEOUT)
    return f"{commit}{CHANGED}" if done.code or done.output.strip() else commit


def person(root: Path) -> str:
    """Return git's name and e-mail for whoever works in a folder, else the user and the machine."""
    name, email = (_git(root, f"user.{key}") for key in ("name", "email"))
    if name and email:
        return f"{name} <{email}>"
    return name or email or _account()


def _git(root: Path, key: str) -> str:
    try:
        done = attempt(["git", "config", "--get", key], folder=root, timeout=_TIMEOUT)
    except ConfigurationError:
        return ""
    return done.output.strip() if done.code == 0 else ""


def _account() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number that has no name.
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def kubernetes_user(release: Release) -> str:
    """Return as whom the cluster knows us; empty where it cannot say (before Kubernetes 1.28)."""
    command = release.kubectl("auth", "whoami", "--output", "json")
    try:
        done = attempt(command, timeout=_TIMEOUT)
    except PlatformError:
        return ""
    return parse_whoami(done.output) if done.code == 0 else ""


def parse_whoami(text: str) -> str:
    """Return the user name in what `kubectl auth whoami` says; empty when there is none."""
    try:
        return str(json.loads(text)["status"]["userInfo"]["username"])
    except (ValueError, KeyError, TypeError):
        return ""
