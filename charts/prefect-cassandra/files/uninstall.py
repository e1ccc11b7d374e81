"""Deletes what a release leaves behind and Helm does not know: Jobs of hooks and flows, test pods.

Volumes and Secrets stay. Standard library only, because a client of Kubernetes takes longer to be
imported than the two requests last.
"""

import os
import ssl
import sys
import urllib.parse
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 20
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Jobs first: a pod alone would be made again.
COLLECTIONS = ("apis/batch/v1/namespaces/{}/jobs", "api/v1/namespaces/{}/pods")


def delete(collection: str) -> None:
    """Delete what the selector finds; pods of a Job go with it."""
    query = {"labelSelector": os.environ["SELECTOR"], "propagationPolicy": "Background"}
    path = collection.format(os.environ["NAMESPACE"])
    token = (ACCOUNT / "token").read_text("utf-8")
    request = urllib.request.Request(
        f"https://kubernetes.default.svc/{path}?{urllib.parse.urlencode(query)}",
        method="DELETE",
        headers={"Authorization": f"Bearer {token}"},
    )
    context = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    # Authorities that clusters made for themselves often lack what the strict rules ask for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context):  # noqa: S310  https
        pass
    sys.stdout.write(f"deleted {path} of {query['labelSelector']}\n")


def main() -> int:
    """Delete all of it, and say what could not be."""
    try:
        for collection in COLLECTIONS:
            delete(collection)
    except OSError as problem:
        sys.stderr.write(f"not everything is deleted: {problem}\n")
        return 1
    return 0


sys.exit(main())
