"""What each role may and may not do, tried with its own login on a real node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import PermissionDeniedError, StatementError
from prefect_cassandra.schema import apply
from prefect_cassandra.schema.grants import OWNER
from prefect_cassandra.schema.model import LEDGER, STATE
from support.schema import Ground

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session

GUARDRAIL = "drop_truncate_table_enabled"


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("schema"))
    made.write("0001_tables", "t")
    apply(made.config, made.installation)
    superuser.execute(made.say("INSERT INTO {keyspace}.t (k, v) VALUES (0, 'kept')"))
    superuser.execute("CREATE TABLE IF NOT EXISTS prefect_state.schema_test (k int PRIMARY KEY)")
    return made


def test_flow_role_reads_and_writes_its_own_keyspace(ground: Ground) -> None:
    flow = shared_session(ground.role("flow"))
    flow.execute(ground.say("INSERT INTO {keyspace}.t (k, v) VALUES (?, ?)"), [1, "a"])
    rows = flow.execute(ground.say("SELECT v FROM {keyspace}.t WHERE k = ?"), [1]).rows
    assert rows == [{"v": "a"}]


@pytest.mark.parametrize(
    ("statement", "error", "reason"),
    [
        ("DROP TABLE {keyspace}.t", PermissionDeniedError, "no DROP permission"),
        # TRUNCATE is part of MODIFY, so only the guardrail stands in its way.
        ("TRUNCATE {keyspace}.t", StatementError, GUARDRAIL),
        ("ALTER TABLE {keyspace}.t ADD c int", PermissionDeniedError, "no ALTER permission"),
        (
            "CREATE TABLE {keyspace}.mine (k int PRIMARY KEY)",
            PermissionDeniedError,
            "no CREATE permission",
        ),
        (
            "INSERT INTO prefect_state.schema_test (k) VALUES (1)",
            PermissionDeniedError,
            "no MODIFY permission",
        ),
        (
            "INSERT INTO prefect_ledger.schema_locks (name) VALUES ('x')",
            PermissionDeniedError,
            "no MODIFY permission",
        ),
        ("SELECT * FROM prefect_ledger.schema_migrations", PermissionDeniedError, "no SELECT"),
        ("DROP KEYSPACE {keyspace}", PermissionDeniedError, "no DROP permission"),
        ("CREATE ROLE mine", PermissionDeniedError, "CREATE"),
        (
            "GRANT SELECT ON KEYSPACE {keyspace} TO {keyspace}_reader",
            PermissionDeniedError,
            "no AUTHORIZE permission",
        ),
    ],
)
def test_flow_role_is_refused(
    ground: Ground, statement: str, error: type[Exception], reason: str
) -> None:
    flow = shared_session(ground.role("flow"))
    with pytest.raises(error, match=reason):
        flow.execute(ground.say(statement))
    assert ground.tables() == {"t"}
    kept = ground.superuser.execute(ground.say("SELECT v FROM {keyspace}.t WHERE k = 0")).one()
    assert kept == {"v": "kept"}


@pytest.mark.parametrize(
    ("statement", "error", "reason"),
    [
        # The owner made the table and so has DROP on it; the guardrail stands in its way.
        ("DROP TABLE {keyspace}.t", StatementError, GUARDRAIL),
        ("TRUNCATE {keyspace}.t", StatementError, GUARDRAIL),
        ("DROP KEYSPACE {keyspace}", PermissionDeniedError, "no DROP permission"),
        ("CREATE ROLE mine", PermissionDeniedError, "CREATE"),
        ("SELECT * FROM prefect_state.schema_test", PermissionDeniedError, "no SELECT"),
    ],
)
def test_owner_role_is_refused(
    ground: Ground, statement: str, error: type[Exception], reason: str
) -> None:
    owner = shared_session(ground.role(OWNER))
    with pytest.raises(error, match=reason):
        owner.execute(ground.say(statement))
    kept = ground.superuser.execute(ground.say("SELECT v FROM {keyspace}.t WHERE k = 0")).one()
    assert kept == {"v": "kept"}


def test_reader_role_reads_and_cannot_write(ground: Ground) -> None:
    reader = shared_session(ground.role("reader"))
    assert reader.execute(ground.say("SELECT v FROM {keyspace}.t WHERE k = 0")).rows == [
        {"v": "kept"}
    ]
    for statement in (
        "INSERT INTO {keyspace}.t (k) VALUES (2)",
        "DELETE FROM {keyspace}.t WHERE k = 0",
        "TRUNCATE {keyspace}.t",
    ):
        with pytest.raises(PermissionDeniedError, match="no MODIFY permission"):
            reader.execute(ground.say(statement))


@pytest.mark.parametrize("role", ["flow", STATE, LEDGER])
def test_writing_roles_may_read_the_settings_of_the_node(ground: Ground, role: str) -> None:
    session = shared_session(ground.role(role))
    rows = session.execute(
        "SELECT value FROM system_views.settings WHERE name = ?", ["batch_size_fail_threshold"]
    ).rows
    assert len(rows) == 1


def test_orchestration_roles_keep_to_their_own_keyspace(ground: Ground) -> None:
    state = shared_session(ground.role(STATE))
    ledger = shared_session(ground.role(LEDGER))
    state.execute("INSERT INTO prefect_state.schema_test (k) VALUES (1)")
    assert ledger.execute("SELECT name FROM prefect_ledger.schema_locks").rows
    for session, elsewhere in (
        (state, "SELECT * FROM prefect_ledger.schema_locks"),
        (ledger, "SELECT * FROM prefect_state.schema_test"),
    ):
        with pytest.raises(PermissionDeniedError, match="no SELECT"):
            session.execute(elsewhere)
