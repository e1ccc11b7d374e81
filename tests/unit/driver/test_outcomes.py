from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel, WriteType, protocol
from cassandra.connection import ConnectionException, ConnectionShutdown

from prefect_cassandra.driver.outcomes import CasWriteUnknown, Meaning, meaning, to_error
from prefect_cassandra.driver.reactor import NoHostAvailable
from prefect_cassandra.driver.statements import Kind
from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    DataError,
    NotAppliedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    StatementError,
    UnreachableError,
)

READ, WRITE, CONDITIONAL = Kind.READ, Kind.WRITE, Kind.CONDITIONAL


def write_timeout(write_type: int) -> cassandra.WriteTimeout:
    return cassandra.WriteTimeout(
        "timed out",
        consistency=ConsistencyLevel.QUORUM,
        required_responses=2,
        received_responses=1,
        write_type=write_type,
    )


def message(cls: Any, text: str = "said") -> Exception:
    return cls(code=cls.error_code, message=text, info=None)


def cas_unknown() -> Any:
    """Error 0x1700 as the driver decodes it from the wire."""
    text = b"CAS operation result is unknown - proposal accepted by 1 but not a quorum."
    body = struct.pack(">iH", 0x1700, len(text)) + text + struct.pack(">Hii", 8, 1, 2)
    return protocol.ErrorMessage.recv_body(BytesIO(body), 5)


def nobody(**reasons: Exception) -> Any:
    return NoHostAvailable("Unable to complete the operation against any hosts", reasons)


UNAVAILABLE = cassandra.Unavailable(
    "few", consistency=ConsistencyLevel.QUORUM, required_replicas=2, alive_replicas=1
)
UNPROPOSED = cassandra.Unavailable(
    "few", consistency=ConsistencyLevel.SERIAL, required_replicas=2, alive_replicas=1
)
READ_TIMEOUT = cassandra.ReadTimeout("slow", consistency=1, data_retrieved=False)
WRITE_FAILURE = cassandra.WriteFailure(
    "failed", consistency=1, required_responses=2, received_responses=1, failures=1
)
TIMED_OUT = cassandra.OperationTimedOut({"h": "late"}, "10.0.0.1")
LOST = ConnectionShutdown("Connection was closed")


@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (UNAVAILABLE, WRITE, Meaning.NOT_APPLIED),
        # Replicas missing for the commit: the proposal was accepted before.
        (UNAVAILABLE, CONDITIONAL, Meaning.UNKNOWN_FOR_GOOD),
        (UNPROPOSED, CONDITIONAL, Meaning.NOT_APPLIED),
        (message(protocol.OverloadedErrorMessage), WRITE, Meaning.NOT_APPLIED),
        (message(protocol.IsBootstrappingErrorMessage), CONDITIONAL, Meaning.NOT_APPLIED),
        (READ_TIMEOUT, READ, Meaning.NO_ANSWER),
        (TIMED_OUT, READ, Meaning.NO_ANSWER),
        (LOST, READ, Meaning.NO_ANSWER),
        (message(protocol.ServerError), READ, Meaning.NO_ANSWER),
        (OverflowError("date value out of range"), READ, Meaning.UNREADABLE),
        (cassandra.DriverException("Failed decoding result column"), READ, Meaning.UNREADABLE),
        (write_timeout(WriteType.SIMPLE), WRITE, Meaning.UNKNOWN),
        (write_timeout(WriteType.BATCH), WRITE, Meaning.UNKNOWN),
        (write_timeout(WriteType.UNLOGGED_BATCH), WRITE, Meaning.UNKNOWN),
        (write_timeout(WriteType.VIEW), WRITE, Meaning.UNKNOWN),
        (write_timeout(WriteType.BATCH_LOG), WRITE, Meaning.NOT_APPLIED),
        (write_timeout(WriteType.COUNTER), WRITE, Meaning.UNKNOWN_FOR_GOOD),
        (write_timeout(WriteType.CAS), CONDITIONAL, Meaning.UNKNOWN_FOR_GOOD),
        (write_timeout(WriteType.SIMPLE), CONDITIONAL, Meaning.UNKNOWN_FOR_GOOD),
        (cas_unknown(), CONDITIONAL, Meaning.UNKNOWN_FOR_GOOD),
        (cas_unknown(), WRITE, Meaning.UNKNOWN_FOR_GOOD),
        (TIMED_OUT, WRITE, Meaning.UNKNOWN),
        (TIMED_OUT, CONDITIONAL, Meaning.UNKNOWN_FOR_GOOD),
        (LOST, WRITE, Meaning.UNKNOWN),
        (ConnectionException("broken"), WRITE, Meaning.UNKNOWN),
        (WRITE_FAILURE, WRITE, Meaning.UNKNOWN),
        (READ_TIMEOUT, WRITE, Meaning.UNKNOWN),
        (READ_TIMEOUT, CONDITIONAL, Meaning.UNKNOWN_FOR_GOOD),
        (message(protocol.TruncateError), WRITE, Meaning.UNKNOWN),
        (message(protocol.ServerError), WRITE, Meaning.UNKNOWN),
        (message(protocol.CDCWriteException), WRITE, Meaning.UNKNOWN),
        (RuntimeError("anything else"), WRITE, Meaning.UNKNOWN),
        (protocol.ErrorMessage(code=0x4242, message="new", info=None), WRITE, Meaning.UNKNOWN),
        (message(protocol.SyntaxException), WRITE, Meaning.REFUSED),
        (cassandra.InvalidRequest("guardrail"), CONDITIONAL, Meaning.REFUSED),
        (cassandra.AlreadyExists("ks", "t"), WRITE, Meaning.REFUSED),
        (message(protocol.ConfigurationException), WRITE, Meaning.REFUSED),
        (cassandra.Unauthorized("no"), WRITE, Meaning.FORBIDDEN),
        (cassandra.AuthenticationFailed("no"), WRITE, Meaning.LOGIN_REFUSED),
        (message(protocol.BadCredentials), READ, Meaning.LOGIN_REFUSED),
        (ConfigurationError("no file"), WRITE, Meaning.OURS),
    ],
)
def test_meaning_of_an_error_that_a_node_answered_or_failed_to(
    error: Any, kind: Any, expected: Any
) -> None:
    assert meaning(error, kind) is expected


@pytest.mark.parametrize(
    ("error", "kind", "sent", "expected"),
    [
        (nobody(a=LOST), WRITE, False, Meaning.UNSENT),
        (nobody(a=ConnectionException("down")), CONDITIONAL, False, Meaning.UNSENT),
        (nobody(), WRITE, False, Meaning.UNSENT),
        (NoHostAvailable("none", ["10.0.0.1"]), WRITE, False, Meaning.UNSENT),
        (nobody(a=TIMED_OUT), WRITE, True, Meaning.UNKNOWN),
        (nobody(a=UNAVAILABLE, b=LOST), WRITE, True, Meaning.UNKNOWN),
        (nobody(a=LOST), CONDITIONAL, True, Meaning.UNKNOWN_FOR_GOOD),
        (nobody(a=write_timeout(WriteType.COUNTER)), WRITE, True, Meaning.UNKNOWN_FOR_GOOD),
        (nobody(a=UNAVAILABLE), WRITE, True, Meaning.NOT_APPLIED),
        (nobody(a=LOST), READ, True, Meaning.NOT_APPLIED),
        (nobody(a=cassandra.AuthenticationFailed("no")), WRITE, False, Meaning.LOGIN_REFUSED),
        (nobody(a=LOST, b=ConfigurationError("no file")), WRITE, False, Meaning.OURS),
    ],
)
def test_meaning_of_no_host_available_is_what_its_nodes_said(
    error: Any, kind: Any, sent: Any, expected: Any
) -> None:
    assert meaning(error, kind, sent=sent) is expected


@pytest.mark.parametrize(
    ("error", "kind", "ours"),
    [
        (write_timeout(WriteType.SIMPLE), WRITE, OutcomeUnknownError),
        (cas_unknown(), CONDITIONAL, OutcomeUnknownError),
        (TIMED_OUT, WRITE, OutcomeUnknownError),
        (LOST, WRITE, OutcomeUnknownError),
        (TIMED_OUT, READ, UnreachableError),
        (LOST, READ, UnreachableError),
        (READ_TIMEOUT, READ, NotAppliedError),
        (UNAVAILABLE, WRITE, NotAppliedError),
        (cassandra.InvalidRequest("x"), WRITE, StatementError),
        (cassandra.Unauthorized("x"), WRITE, PermissionDeniedError),
        (cassandra.AuthenticationFailed("x"), READ, AuthenticationError),
        (OverflowError("x"), READ, DataError),
    ],
)
def test_every_meaning_has_its_error_with_a_hint(error: Any, kind: Any, ours: Any) -> None:
    found = to_error(error, meaning(error, kind), kind, "UPDATE t", "UPDATE t")

    assert type(found) is ours
    assert found.hint


def test_unreachable_names_the_reason_of_each_node() -> None:
    error = nobody(**{"10.0.0.1": LOST, "10.0.0.2": OSError(111, "Connection refused")})

    found = to_error(error, Meaning.UNSENT, WRITE, "", "")

    assert "10.0.0.1: Connection was closed" in found.message
    assert "10.0.0.2" in found.message
    assert "refused" in found.message


def test_unreachable_over_a_certificate_points_at_the_tls_settings() -> None:
    error = nobody(a=OSError(1, "certificate verify failed: IP address mismatch"))

    assert "server_name" in to_error(error, Meaning.UNSENT, READ, "", "").hint


def test_an_error_of_ours_inside_the_driver_comes_out_as_it_is() -> None:
    inner = ConfigurationError("The credential file /x is empty.")

    assert to_error(nobody(a=inner), Meaning.OURS, READ, "", "") is inner


def test_cas_unknown_is_decoded_with_its_numbers() -> None:
    found = to_error(cas_unknown(), Meaning.UNKNOWN_FOR_GOOD, CONDITIONAL, "", "")

    assert isinstance(cas_unknown(), CasWriteUnknown)
    assert "0x1700" in found.message
    assert "1 of 2 replicas accepted it at SERIAL" in found.message


def test_password_in_a_statement_never_reaches_the_message() -> None:
    cql = "CREATE ROLE a WITH PASSWORD = 'hunter2'"
    error = message(protocol.SyntaxException, "no viable alternative at 'hunter2'")

    assert "hunter2" not in str(to_error(error, Meaning.REFUSED, WRITE, cql, "CREATE ROLE a ..."))
