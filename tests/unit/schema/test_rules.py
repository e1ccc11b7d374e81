from __future__ import annotations

import pytest

from prefect_cassandra.errors import SchemaError
from prefect_cassandra.schema.cql import split
from prefect_cassandra.schema.rules import check


@pytest.mark.parametrize(
    ("cql", "expected"),
    [
        ("CREATE TABLE IF NOT EXISTS app.t (a int PRIMARY KEY)", "CREATE TABLE t"),
        ('create table if not exists App."T" (a int PRIMARY KEY)', "CREATE TABLE T"),
        ("CREATE /* x */ TABLE IF NOT EXISTS -- y\n app.t (a int)", "CREATE TABLE t"),
        ("CREATE TYPE IF NOT EXISTS app.address (street text)", "CREATE TYPE address"),
        ("CREATE INDEX IF NOT EXISTS by_b ON app.t (b) USING 'sai'", "CREATE INDEX t"),
        ("CREATE CUSTOM INDEX IF NOT EXISTS ON app.t (b)", "CREATE INDEX t"),
        ("DROP INDEX IF EXISTS app.by_b", "DROP INDEX by_b"),
        ("ALTER TABLE app.t ADD IF NOT EXISTS c int", "ALTER TABLE t"),
        ("ALTER TABLE IF EXISTS app.t RENAME IF EXISTS a TO b", "ALTER TABLE t"),
        ("ALTER TABLE app.t WITH gc_grace_seconds = 1", "ALTER TABLE t"),
        ("ALTER TYPE app.address ADD IF NOT EXISTS zip text", "ALTER TYPE address"),
    ],
)
def test_check_understands_what_a_migration_may_say(cql: str, expected: str) -> None:
    change = check(split(cql)[0], "app")
    assert (change.keyspace, f"{change.action} {change.kind} {change.name}") == ("app", expected)


@pytest.mark.parametrize(
    ("cql", "reason"),
    [
        ("DROP TABLE app.t", "destroys data"),
        ("DROP KEYSPACE app", "destroys data"),
        ("TRUNCATE app.t", "destroys data"),
        ("TRUNCATE TABLE app.t", "destroys data"),
        ("DROP TYPE app.address", "destroys data"),
        ("ALTER TABLE app.t DROP c", "destroys data"),
        ("CREATE KEYSPACE app WITH replication = {}", "through `schema apply`"),
        ("ALTER KEYSPACE app WITH replication = {}", "through `schema apply`"),
        ("CREATE ROLE r", "through `schema apply`"),
        ("GRANT ALL ON KEYSPACE app TO r", "through `schema apply`"),
        ("REVOKE ALL ON KEYSPACE app FROM r", "through `schema apply`"),
        ("INSERT INTO app.t (a) VALUES (1)", "data belongs to flows"),
        ("BEGIN BATCH INSERT INTO app.t (a) VALUES (1); APPLY BATCH", "data belongs to flows"),
        ("CREATE MATERIALIZED VIEW app.v AS SELECT 1", "materialised view"),
        ("USE app", "named with their keyspace"),
        ("CREATE FUNCTION app.f() RETURNS NULL", "they may say"),
        ("ALTER MATERIALIZED VIEW app.v WITH comment = ''", "they may say"),
        ("DESCRIBE TABLES", "they may say"),
        ("CREATE TABLE app.t (a int PRIMARY KEY)", "write IF NOT EXISTS"),
        ("ALTER TABLE app.t ADD c int", "write IF NOT EXISTS"),
        ("ALTER TABLE app.t RENAME a TO b", "write IF EXISTS"),
        ("ALTER TABLE app.t ALTER c TYPE text", "may only ADD, RENAME"),
        ("DROP INDEX app.i", "write IF EXISTS"),
        ("CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY)", "write t with its keyspace"),
        ("CREATE TABLE IF NOT EXISTS other.t (a int PRIMARY KEY)", "outside .* keyspace app"),
        ('CREATE TABLE IF NOT EXISTS "App".t (a int)', "outside .* keyspace app"),
        ("CREATE INDEX IF NOT EXISTS i ON other.t (b)", "outside .* keyspace app"),
        ("CREATE TABLE IF NOT EXISTS prefect_ledger.schema_locks (a int)", "outside"),
        ("CREATE TABLE IF NOT EXISTS", "a name is missing"),
    ],
)
def test_check_refuses_with_the_line_and_a_reason(cql: str, reason: str) -> None:
    statement = split(f"\n\n{cql}")[0]
    with pytest.raises(SchemaError, match=rf"line 3: .*{reason}"):
        check(statement, "app")
