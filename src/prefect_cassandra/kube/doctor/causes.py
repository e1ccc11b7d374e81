"""What words of Kubernetes and of logs mean, and what to do about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 300

PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
_NO_ENTRY = re.compile(r"unauthorized|authentication required|denied|no basic auth|\b401\b|\b403\b")
_PUSH = {
    "flow": "Bring a flow image that the cluster can pull: `prefect-cassandra flows push "
    "--registry REGISTRY`; it points the deployments at that image.",
    "cassandra": "Let the nodes reach the registry, or copy the image to one they reach and name "
    "it in images.cassandra.repository.",
    "postgres": "Let the nodes reach the registry, or copy the image to one they reach and name "
    "it in images.postgres.repository.",
}
_PUSH_OURS = (
    "Build and push the platform's images with `make push REGISTRY=registry.example.org/data`, "
    "set their names under `images` and run `helm upgrade`; on kind, `make kind-demo` loads them."
)
_LOG_IN = (
    "The registry wants a login: name a Secret of type kubernetes.io/dockerconfigjson in "
    "images.pullSecrets."
)


@dataclass(frozen=True, slots=True)
class Cause:
    """A known reason, found by its words in a log or a message.

    Args:
        words: What is looked for.
        meaning: The reason in plain words.
        hint: What to do.
        stays: Whether waiting is known to be in vain when the words are there.
    """

    words: re.Pattern[str]
    meaning: str
    hint: str
    stays: bool = False


def _cause(words: str, meaning: str, hint: str, *, stays: bool = False) -> Cause:
    return Cause(re.compile(words, re.IGNORECASE), meaning, hint, stays)


KNOWN = (
    _cause(
        r"accepts neither our superuser nor the default login|refuses both our superuser",
        "Cassandra refuses the superuser's password",
        "The volumes keep the password of the first installation: put that one back into the "
        "Secret that logins.superuserSecret names (or R-cassandra-superuser), then `helm upgrade`.",
        # The bootstrap says so only after it has waited itself.
        stays=True,
    ),
    _cause(
        r"PC210|Provided username .* and/or password are incorrect",
        "Cassandra refuses a login",
        "Compare the Secret with the password the database knows; `helm upgrade` gives roles the "
        "passwords of their Secrets again.",
    ),
    _cause(
        r"password authentication failed for user",
        "Postgres refuses the password",
        "The volume keeps the password of the first installation: put that one back into the "
        "Secret of Postgres, or change it in the database too.",
    ),
    _cause(
        r"it answers 401|401 Unauthorized",
        "the Prefect server refuses the login",
        "Compare the Secret that holds the auth string with the server's own, then restart "
        "whoever keeps the old one: `kubectl rollout restart deployment`.",
    ),
    _cause(
        r"No space left on device",
        "a disk is full",
        "Give it a larger volume, or delete what is not needed.",
    ),
    _cause(
        r"Name or service not known|nodename nor servname|Temporary failure in name resolution",
        "a host name is not known",
        "Check the name in the values, and that the cluster's DNS works.",
    ),
)


def known_cause(text: str, known: Sequence[Cause] = KNOWN) -> Cause | None:
    """Return the first known cause whose words are in a text."""
    return next((cause for cause in known if cause.words.search(text)), None)


def pull_hint(component: str, message: str) -> str:
    """Say how to get an image into the cluster, by whose image it is and what the registry said."""
    hint = _PUSH.get(component, _PUSH_OURS)
    if _NO_ENTRY.search(message.lower()):
        return f"{_LOG_IN} If the name is wrong: {hint}"
    return hint


def last_words(log: str) -> str:
    """Return the last line of a log; the one before it too when the last is but its hint."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines:
        return ""
    shown = lines[-1]
    if shown.startswith("->") and len(lines) > 1:
        shown = f"{lines[-2]} {shown}"
    return shortened(shown)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return a text on one line, cut where it is too long to read."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 4]} ..."
