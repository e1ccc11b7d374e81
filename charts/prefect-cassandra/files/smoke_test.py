"""Asks the server's API with the release's own credential, and opens Cassandra's port."""

import base64
import json
import os
import socket
import sys
import urllib.request
from typing import Any

TIMEOUT_SECONDS = 20


def credential() -> str:
    """Return the Authorization header for what the pod was given."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return f"Bearer {key}"
    login = os.environ.get("PREFECT_API_AUTH_STRING", "").encode()
    return f"Basic {base64.b64encode(login).decode()}"


def ask(path: str) -> Any:
    """Return what the API answers."""
    request = urllib.request.Request(  # noqa: S310  the address is the release's own
        os.environ["PREFECT_API_URL"] + path, headers={"Authorization": credential()}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        return json.load(answer)


def opened(place: str, port: int) -> str:
    """Open a port and close it again."""
    socket.create_connection((place, port), TIMEOUT_SECONDS).close()
    return "open"


def main() -> int:
    """Check each part and say how it went."""
    checks = []
    if os.environ.get("PREFECT_API_URL"):
        checks.append(("server health", lambda: ask("/health")))
    # Health is open to all; the pool is not, so this one proves the credential as well.
    if pool := os.environ.get("WORK_POOL"):
        checks.append((f"work pool {pool}", lambda: ask(f"/work_pools/{pool}")["status"]))
    port = int(os.environ["CASSANDRA_PORT"])
    checks += [
        (f"Cassandra at {place}", lambda place=place: opened(place, port))
        for place in filter(None, os.environ["CASSANDRA"].split(","))
    ]
    failed = 0
    for name, check in checks:
        try:
            sys.stdout.write(f"ok      {name}: {check()}\n")
        except (OSError, KeyError, ValueError) as problem:
            failed += 1
            sys.stdout.write(f"failed  {name}: {problem}\n")
    return 1 if failed or not checks else 0


sys.exit(main())
