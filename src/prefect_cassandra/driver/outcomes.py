"""What an error of the driver means: was it applied, may it be repeated, what do we call it.

Protocol facts are from the CQL native protocol v5 specification, section 8 ("error codes").
"""

from __future__ import annotations

import ssl
import struct
from enum import Enum
from typing import TYPE_CHECKING, Any

import cassandra
from cassandra import ConsistencyLevel, WriteType, protocol
from cassandra.connection import ConnectionException

from prefect_cassandra.driver.reactor import NoHostAvailable
from prefect_cassandra.driver.statements import Kind, redact_message
from prefect_cassandra.errors import (
    AuthenticationError,
    DataError,
    NotAppliedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PrefectCassandraError,
    StatementError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class CasWriteUnknown(protocol.RequestExecutionException):  # type: ignore[misc]  # untyped driver
    """Error 0x1700 of protocol v5, which the driver does not know.

    Naming the code is enough: the driver's metaclass adds the class to those it decodes with.
    """

    summary = "Outcome of the compare-and-set unknown"
    error_code = 0x1700

    @staticmethod
    def recv_error_info(f: Any, _protocol_version: int) -> dict[str, int]:
        """Read what follows the message: consistency, received and required answers."""
        level, received, required = struct.unpack(">Hii", f.read(10))
        return {"consistency": level, "received": received, "required": required}

    def told(self) -> str:
        """Return the numbers in words."""
        info = self.info
        level = ConsistencyLevel.value_to_name.get(info["consistency"], info["consistency"])
        return f"{info['received']} of {info['required']} replicas accepted it at {level}"


class Meaning(Enum):
    """What an error says about the request."""

    UNSENT = "no node took the request"
    NOT_APPLIED = "the server says it was not carried out"
    NO_ANSWER = "a read got no answer"
    UNKNOWN = "it may have been applied"
    UNKNOWN_FOR_GOOD = "it may have been applied, and a repeat could apply it twice"
    LOGIN_REFUSED = "the login was refused"
    FORBIDDEN = "the role may not do this"
    REFUSED = "the server refused the statement"
    UNREADABLE = "the answer could not be decoded"
    OURS = "an error of this package, raised inside the driver"


_NOT_APPLIED = (
    cassandra.Unavailable,
    protocol.OverloadedErrorMessage,
    protocol.IsBootstrappingErrorMessage,
    protocol.PreparedQueryNotFound,
)
_REFUSED = (
    cassandra.InvalidRequest,
    cassandra.AlreadyExists,
    cassandra.FunctionFailure,
    cassandra.UnsupportedOperation,
    protocol.SyntaxException,
    protocol.ConfigurationException,
    protocol.ProtocolException,
)
_NEVER_TWICE = (WriteType.CAS, WriteType.COUNTER)
_UNCERTAIN = (
    cassandra.Timeout,
    cassandra.CoordinationFailure,
    cassandra.OperationTimedOut,
    ConnectionException,
    protocol.ServerError,
    protocol.TruncateError,
)


def meaning(error: BaseException, kind: Kind, *, sent: bool = True) -> Meaning:
    """Say what `error` means for a request of `kind`.

    Args:
        error: What the driver raised.
        kind: Whether the request reads or writes.
        sent: Whether any node was handed the request; False only when that is certain.
    """
    if kind is Kind.CONDITIONAL and _is_late_unavailable(error):
        return Meaning.UNKNOWN_FOR_GOOD
    found = _certain(error)
    if found is not None:
        return found
    if isinstance(error, NoHostAvailable):
        return _no_host(error, kind, sent=sent)
    if kind is Kind.READ:
        known = isinstance(error, (*_UNCERTAIN, protocol.ErrorMessage, cassandra.DriverException))
        unreadable = not known or str(error).startswith("Failed decoding")
        return Meaning.UNREADABLE if unreadable else Meaning.NO_ANSWER
    return _of_write(error, kind)


def _certain(error: BaseException) -> Meaning | None:
    """Return the meaning of errors that say by themselves that nothing was applied."""
    if isinstance(error, PrefectCassandraError):
        return Meaning.OURS
    if isinstance(error, cassandra.AuthenticationFailed | protocol.BadCredentials):
        return Meaning.LOGIN_REFUSED
    if isinstance(error, cassandra.Unauthorized | protocol.UnauthorizedErrorMessage):
        return Meaning.FORBIDDEN
    if isinstance(error, _NOT_APPLIED):
        return Meaning.NOT_APPLIED
    if isinstance(error, _REFUSED):
        return Meaning.REFUSED
    return None


def _is_late_unavailable(error: BaseException) -> bool:
    """Whether replicas were missing for the commit of a conditional write, not for its proposal.

    By then the proposal was accepted (`StorageProxy.cas`), so the next round may complete it. The
    error names the level that was missed: a serial one for the proposal.
    """
    serial = (ConsistencyLevel.SERIAL, ConsistencyLevel.LOCAL_SERIAL)
    return isinstance(error, cassandra.Unavailable) and error.consistency not in serial


def _of_write(error: BaseException, kind: Kind) -> Meaning:
    write_type = getattr(error, "write_type", None)
    if isinstance(error, CasWriteUnknown) or write_type in _NEVER_TWICE:
        return Meaning.UNKNOWN_FOR_GOOD
    if isinstance(error, cassandra.WriteTimeout) and write_type == WriteType.BATCH_LOG:
        # The batch log was not written, so the batch was not begun.
        return Meaning.NOT_APPLIED
    # A read error may also answer a conditional write, whose Paxos round then stays open.
    return Meaning.UNKNOWN_FOR_GOOD if kind is Kind.CONDITIONAL else Meaning.UNKNOWN


def _no_host(error: Any, kind: Kind, *, sent: bool) -> Meaning:
    """Look behind the one error that hides what each node answered."""
    inner = [reason for reason in _reasons(error).values() if isinstance(reason, BaseException)]
    for reason in inner:
        if _certain(reason) in (Meaning.OURS, Meaning.LOGIN_REFUSED):
            return Meaning(_certain(reason))
    if not sent:
        return Meaning.UNSENT
    uncertain = [reason for reason in inner if isinstance(reason, _UNCERTAIN)]
    if uncertain and kind is not Kind.READ:
        return _of_write(uncertain[0], kind)
    return Meaning.NOT_APPLIED


def _reasons(error: Any) -> Mapping[Any, Any]:
    """Return the error of each node; the driver hides them in a dict, a list or nowhere."""
    errors = getattr(error, "errors", None)
    if isinstance(errors, dict):
        return errors
    return dict.fromkeys(errors) if isinstance(errors, list | tuple) else {}


def to_error(
    error: BaseException, means: Meaning, kind: Kind, cql: str, text: str
) -> PrefectCassandraError:
    """Return our error for a driver's error.

    Args:
        error: What the driver raised.
        means: What it means, from `meaning`.
        kind: Whether the request reads or writes.
        cql: The whole statement, only to keep its secrets out of the message.
        text: The statement as it may be shown.
    """
    if means is Meaning.OURS:
        return _ours(error)
    said = redact_message(describe(error), cql).rstrip(".")
    if means is Meaning.UNSENT:
        return unreachable(error, said)
    tail = f" Statement: {text}" if text else ""
    if means is Meaning.NO_ANSWER:
        return _no_answer(error, said, tail)
    kind_of_error, start, hint = _ERRORS[means]
    return kind_of_error(f"{start.format(kind=kind.value)}: {said}.{tail}", hint=hint)


def still_unclear(last: PrefectCassandraError) -> OutcomeUnknownError:
    """Return the error for a write of which an earlier try may have been applied.

    Args:
        last: What the last try ended with.
    """
    return OutcomeUnknownError(
        f"An earlier try may have been applied, and the last one ended: {last.message}"
    )


_ERRORS: dict[Meaning, tuple[type[PrefectCassandraError], str, str]] = {
    Meaning.LOGIN_REFUSED: (
        AuthenticationError,
        "The login was refused",
        "Check user name and password, or the mounted credential files.",
    ),
    Meaning.FORBIDDEN: (
        PermissionDeniedError,
        "The role may not do this",
        "Grant the permission, or run this as the role that owns it.",
    ),
    Meaning.REFUSED: (
        StatementError,
        "The server refused the statement",
        "Correct the statement; DESCRIBE TABLE in cqlsh shows what is there.",
    ),
    Meaning.UNREADABLE: (
        DataError,
        "The answer could not be decoded",
        "A stored value is outside what Python can hold; select it as text or blob.",
    ),
    Meaning.NOT_APPLIED: (
        NotAppliedError,
        "The {kind} was not carried out",
        "It is safe to send again once enough replicas are up and not overloaded.",
    ),
    # Their hint is the class's own.
    Meaning.UNKNOWN: (OutcomeUnknownError, "The {kind} may or may not be applied", ""),
    Meaning.UNKNOWN_FOR_GOOD: (OutcomeUnknownError, "The {kind} may or may not be applied", ""),
}


def _no_answer(error: BaseException, said: str, tail: str) -> PrefectCassandraError:
    if isinstance(error, cassandra.OperationTimedOut | ConnectionException):
        return UnreachableError(
            f"The read got no answer: {said}.{tail}",
            hint="Nothing was changed; try again, or allow it more time.",
        )
    return NotAppliedError(
        f"The read failed: {said}.{tail}",
        hint="Nothing was changed; try again, read less at a time, or look at the nodes' logs.",
    )


def _ours(error: BaseException) -> PrefectCassandraError:
    if isinstance(error, PrefectCassandraError):
        return error
    return next(e for e in _reasons(error).values() if isinstance(e, PrefectCassandraError))


def unreachable(error: BaseException, said: str) -> UnreachableError:
    """Return the error for a cluster of which no node takes requests."""
    text = str(error) + "".join(str(reason) for reason in _reasons(error).values())
    certificate = isinstance(error, ssl.SSLError) or "certificate" in text.lower()
    hint = "Check contact_points, port and network policies, and that the nodes are up."
    if certificate:
        hint = (
            "Check ca_file; when the certificate names a host and not its address, set "
            "server_name to that host."
        )
    return UnreachableError(f"No node took the request: {said}.", hint=hint)


def describe(error: BaseException) -> str:
    """Return what the driver said in one line, with each node's own reason and the numbers."""
    if isinstance(error, NoHostAvailable):
        reasons = [
            f"{getattr(host, 'endpoint', host)}: {describe(reason) if reason else 'no connection'}"
            for host, reason in _reasons(error).items()
        ]
        return "; ".join(reasons) or str(error.args[0])
    if isinstance(error, protocol.ErrorMessage):
        if isinstance(error, CasWriteUnknown):
            return f"{error.summary} (0x{error.error_code:04x}): {error.told()}"
        return f"{error.summary}: {error.message}" if error.message else str(error.summary)
    if isinstance(error, cassandra.OperationTimedOut):
        return f"no answer within the client's timeout (last node: {error.last_host or 'none'})"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
