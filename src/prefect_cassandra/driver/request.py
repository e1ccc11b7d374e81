"""One logical request: what is sent, however often it must be sent again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.statements import sets_password

if TYPE_CHECKING:
    from prefect_cassandra.driver.statements import Kind


@dataclass(slots=True)
class Request:
    """One request on its way.

    Args:
        statement: The driver's statement, with consistency, fetch size and timestamp set.
        kind: Whether it reads or writes.
        idempotent: Whether it may be applied twice.
        timeout: Seconds the client waits for each try.
        cql: The statement's text, only to keep its secrets out of messages.
        text: The statement as it may be shown.
        rows: Rows it carries, for counts.
        keep: What must live as long as the request: the server may ask for a batch's prepared
            statement again, and the driver holds those only weakly.
        unclear: Whether some try of this write may have been applied, whatever later ones said.
    """

    statement: Any = field(repr=False)
    kind: Kind
    idempotent: bool
    timeout: float
    cql: str = field(default="", repr=False)
    text: str = ""
    rows: int = 1
    keep: Any = field(default=None, repr=False)
    unclear: bool = field(default=False, init=False)

    @property
    def secret(self) -> bool:
        """Whether the statement's text holds a password."""
        return sets_password(self.cql)


def pin_timestamp(future: Any) -> None:
    """Give a request the write timestamp its statement carries, instead of the driver's new one.

    The driver makes a timestamp at every execution, so a repeat would be a later write than the
    first try: it could undo what someone wrote in between. Called before each request is sent.
    """
    timestamp = getattr(future.query, "pinned_timestamp", None)
    if timestamp is not None and hasattr(future.message, "timestamp"):
        future.message.timestamp = timestamp
