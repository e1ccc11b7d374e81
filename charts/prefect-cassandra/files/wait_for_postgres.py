"""Returns when the database of PREFECT_SERVER_DATABASE_CONNECTION_URL takes connections."""

import os
import socket
import sys
import time
from urllib.parse import urlsplit

DEADLINE_SECONDS = 300


def main() -> int:
    """Try once a second, and say why it was in vain."""
    url = urlsplit(os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"])
    place = (url.hostname or "localhost", url.port or 5432)
    deadline = time.monotonic() + DEADLINE_SECONDS
    last = ""
    while time.monotonic() < deadline:
        try:
            socket.create_connection(place, timeout=5).close()
        except OSError as problem:
            if str(problem) != last:
                sys.stderr.write(f"waiting for Postgres at {place[0]}:{place[1]}: {problem}\n")
            last = str(problem)
            time.sleep(1)
        else:
            return 0
    sys.stderr.write(f"Postgres at {place[0]}:{place[1]} did not answer in {DEADLINE_SECONDS} s\n")
    return 1


sys.exit(main())
