"""What may be a parameter of a flow run: whoever may look at the run sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.urls import holds_secret, without_login

# What fsspec's file systems call their secrets: `secret`, `account_key`, `sas_token`, `password`...
_SECRET = re.compile(
    r"secret|passw|passphrase|token|credential|signature|connection_string|(^|_)key($|_id$)|^pwd$",
    re.IGNORECASE,
)
_HINT = (
    "Give the Jobs a login of their own: a role of their ServiceAccount, or variables of their "
    "environment, of which fsspec reads those named FSSPEC_<PROTOCOL>_<OPTION>, such as "
    "FSSPEC_S3_SECRET."
)


def refuse_secrets(urls: Iterable[str], storage_options: Mapping[str, Any]) -> None:
    """Refuse URLs and storage options that hold a login, before Prefect keeps and shows them.

    Args:
        urls: What is read or written.
        storage_options: For fsspec, nested as they may be.

    Raises:
        ConfigurationError: One of them holds a login; it is named, its value is not.
    """
    for url in urls:
        if holds_secret(url):
            raise ConfigurationError(
                f"{without_login(url)} was given with a login, which would be shown as a parameter "
                "of flow runs.",
                hint=_HINT,
            )
    found = next(_secret_names(storage_options), None)
    if found is not None:
        raise ConfigurationError(
            f"The storage option {found!r} would be shown as a parameter of flow runs.", hint=_HINT
        )


def _secret_names(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secret_names(value)
        elif value is not None and not isinstance(value, bool) and _SECRET.search(str(name)):
            yield str(name)
