from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.driver.statements import (
    Kind,
    kind_of,
    looks_idempotent,
    redact_message,
    redacted,
)
from prefect_cassandra.driver.tables import ColumnInfo, TableInfo


def table(**columns: str) -> TableInfo:
    infos = tuple(
        ColumnInfo(name, cql_type, "partition_key" if name == "k" else "regular")
        for name, cql_type in columns.items()
    )
    return TableInfo("ks", "t", infos, ("k",), ())


COLLECTIONS = table(k="int", s="set<int>", m="map<text, int>", l="list<int>", v="int")
COUNTERS = table(k="int", c="counter")


@pytest.mark.parametrize(
    ("cql", "kind"),
    [
        ("SELECT * FROM t", Kind.READ),
        ("  -- a comment\n/* and\nanother */ select * from t", Kind.READ),
        ("// a comment\nSELECT 1", Kind.READ),
        ("LIST ROLES", Kind.READ),
        ("INSERT INTO t (k) VALUES (1)", Kind.WRITE),
        ("INSERT INTO t (k) VALUES (1) IF NOT EXISTS", Kind.CONDITIONAL),
        ("UPDATE t SET v = 1 WHERE k = 1 IF v = 2", Kind.CONDITIONAL),
        ("DELETE FROM t WHERE k = 1 IF EXISTS", Kind.CONDITIONAL),
        ("BEGIN BATCH UPDATE t SET v = 1 WHERE k = 1 IF v = 2; APPLY BATCH", Kind.CONDITIONAL),
        ("BEGIN BATCH UPDATE t SET v = 1 WHERE k = 1; APPLY BATCH", Kind.WRITE),
        ("INSERT INTO t (k, v) VALUES (1, ' IF ')", Kind.WRITE),
        ('UPDATE t SET "if" = 1 WHERE k = 1', Kind.WRITE),
        ("CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)", Kind.WRITE),
        ("TRUNCATE t", Kind.WRITE),
        ("", Kind.WRITE),
        ("'SELECT'", Kind.WRITE),
    ],
)
def test_kind_is_told_by_the_first_word_and_a_condition(cql: Any, kind: Any) -> None:
    assert kind_of(cql) is kind


@pytest.mark.parametrize(
    ("cql", "info"),
    [
        ("SELECT now() FROM t", None),
        ("INSERT INTO ks.t (k, v) VALUES (?, ?)", None),
        ("INSERT INTO t (k, v) VALUES (?, ?)", COLLECTIONS),
        ("INSERT INTO t (k, l) VALUES (?, ?)", table(k="int", l="frozen<list<int>>")),
        ("INSERT INTO ks.t (k, v) VALUES (:k, :v) USING TTL 60", None),
        ("INSERT INTO t (k, v) VALUES (-1, 'it''s (now())') USING TIMESTAMP ?;", None),
        ("INSERT INTO t (k, l) VALUES (1, [1, 2]) USING TTL ? AND TIMESTAMP ?", None),
        ("INSERT INTO t (k, v) VALUES (6f9619ff-8b86-d011-b42d-00cf4fc964ff, 0xCAFE)", None),
        ("INSERT INTO t JSON ?", None),
        ("UPDATE t USING TTL 5 SET v = ?, w = true WHERE k = ?", None),
        ("UPDATE t SET v = -5, u.f = ? WHERE k IN (1, 2)", None),
        ("UPDATE t SET m = {'a': 1}, l = [1], s = {1} WHERE k = 1", None),
        ("UPDATE t SET s = s + ? WHERE k = ?", COLLECTIONS),
        ("UPDATE t SET s = s - {1} WHERE k = ?", COLLECTIONS),
        ("UPDATE t SET m += ?, s -= ? WHERE k = ?", COLLECTIONS),
        ("UPDATE t SET m['a'] = ? WHERE k = ?", COLLECTIONS),
        ("DELETE FROM t WHERE k = ?", None),
        ("DELETE a, b FROM t USING TIMESTAMP 1 WHERE k = ? AND c IN (?, ?)", None),
        ("DELETE FROM t WHERE k = ? AND (a, b) > (?, ?)", None),
        ("DELETE m['a'] FROM t WHERE k = ?", COLLECTIONS),
    ],
)
def test_statement_that_repeats_safely_is_recognised(cql: Any, info: Any) -> None:
    assert looks_idempotent(cql, info)


@pytest.mark.parametrize(
    ("cql", "info"),
    [
        ("INSERT INTO t (k) VALUES (1) IF NOT EXISTS", None),
        ("INSERT INTO t (k) VALUES (now())", None),
        ("INSERT INTO t (k) VALUES (uuid())", None),
        ("INSERT INTO t (k) VALUES (ks.f(1))", None),
        ('INSERT INTO t (k) VALUES ("F"(1))', None),
        ("INSERT INTO t (k, l) VALUES (1, [now()])", None),
        ("INSERT INTO t JSON fromJson(now())", None),
        ("UPDATE t SET c = c + 1 WHERE k = ?", None),
        ("UPDATE t SET c = c -5 WHERE k = ?", None),
        ("UPDATE t SET c += ? WHERE k = ?", None),
        ("UPDATE t SET s = s + ? WHERE k = ?", None),
        ("UPDATE t SET l = l + ? WHERE k = ?", COLLECTIONS),
        ("INSERT INTO t (k, l) VALUES (?, ?)", COLLECTIONS),
        ("INSERT INTO t JSON ?", COLLECTIONS),
        ("UPDATE t SET l = ? WHERE k = ?", COLLECTIONS),
        ("UPDATE t SET l = ? + l WHERE k = ?", COLLECTIONS),
        ("UPDATE t SET l[0] = ? WHERE k = ?", COLLECTIONS),
        ("UPDATE t SET m['a'] = ? WHERE k = ?", None),
        ("UPDATE t SET c = ? WHERE k = ?", COUNTERS),
        ("UPDATE t SET v = now() WHERE k = ?", None),
        ("UPDATE t SET v = ? WHERE k = now()", None),
        ("UPDATE t SET v = ? WHERE k = ? IF EXISTS", None),
        ("UPDATE t SET v = (int) ? WHERE k = ?", None),
        ("DELETE l[0] FROM t WHERE k = ?", COLLECTIONS),
        ("DELETE m['a'] FROM t WHERE k = ?", None),
        ("DELETE FROM t WHERE k = ? IF EXISTS", None),
        ("DELETE FROM t WHERE k = now()", None),
        ("BEGIN BATCH INSERT INTO t (k) VALUES (1); APPLY BATCH", None),
        ("INSERT INTO t (k) VALUES (1); UPDATE t SET c = c + 1 WHERE k = 1", None),
        ("TRUNCATE t", None),
        ("CREATE TABLE t (k int PRIMARY KEY)", None),
        ("GRANT SELECT ON ks.t TO r", None),
        ("INSERT INTO t", None),
        ("UPDATE t SET WHERE", None),
        ("DELETE", None),
        ("", None),
        ("nonsense (", None),
    ],
)
def test_statement_that_may_not_repeat_safely_is_never_let_through(cql: Any, info: Any) -> None:
    assert not looks_idempotent(cql, info)


def test_redacted_hides_every_literal_of_a_statement_that_sets_a_password() -> None:
    shown = redacted("ALTER ROLE ada WITH PASSWORD = 'hun''ter2' AND LOGIN = true")

    assert "hun" not in shown
    assert "ter2" not in shown
    assert "ALTER ROLE ada" in shown


def test_redacted_keeps_an_ordinary_statement_on_one_short_line() -> None:
    shown = redacted("SELECT *\n  FROM t\n" + "-- x" * 100)

    assert "\n" not in shown
    assert shown.startswith("SELECT * FROM t")
    assert len(shown) <= 200


def test_redact_message_takes_the_password_out_of_what_the_server_echoes() -> None:
    said = "line 1:30 mismatched input 'hunter2' expecting K_WITH (... PASSWORD ['hunter2'])"

    assert "hunter2" not in redact_message(said, "ALTER ROLE a PASSWORD 'hunter2'")


def test_redact_message_leaves_other_messages_alone() -> None:
    assert redact_message("no viable 'x'", "SELECT 'x'") == "no viable 'x'"
