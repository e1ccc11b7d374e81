"""One statement on its way to the cluster, as it is planned, shown and sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PASSWORD_MARK = "<hash of the password file>"  # noqa: S105  (stands where a hash goes; holds nothing)


@dataclass(frozen=True, slots=True)
class Step:
    """One planned statement.

    Attributes:
        subject: What it is about, e.g. `keyspace flights`.
        cql: The statement; where a password's hash goes it has `PASSWORD_MARK`.
        login: Who sends it.
        note: What a person should know or do about it.
        password_of: The role whose hash is put in when the statement is sent.
    """

    subject: str
    cql: str
    login: Literal["superuser", "owner"] = "superuser"
    note: str = ""
    password_of: str | None = None
