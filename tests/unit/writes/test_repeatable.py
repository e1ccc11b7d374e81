from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import NotRepeatableError
from prefect_cassandra.writes.repeatable import (
    Term,
    changes_data,
    read_statement,
    require_repeatable,
)

if TYPE_CHECKING:
    from prefect_cassandra.writes.repeatable import Statement


def table(**regular: str) -> TableInfo:
    columns = (
        ColumnInfo("p", "text", "partition_key"),
        ColumnInfo("c", "int", "clustering"),
        *(ColumnInfo(name, kind, "regular") for name, kind in regular.items()),
    )
    return TableInfo("ks", "t", columns, ("p",), ("c",))


PLAIN = table(
    v="text", n="int", s="set<int>", m="map<text, int>", l="list<int>", f="frozen<list<int>>"
)
COUNTERS = table(n="counter")


def judged(cql: str, of: TableInfo = PLAIN) -> Statement:
    found = read_statement(cql)
    require_repeatable(found, of)
    return found


@pytest.mark.parametrize(
    ("cql", "kind"),
    [
        ("INSERT INTO ks.t (p, c, v) VALUES (?, ?, ?)", "INSERT"),
        ("insert into t (p, c, v) values ('a', -1, 'now()') using ttl 60;", "INSERT"),
        ('INSERT INTO ks."t" ("p", c, f) VALUES (:p, :c, [1, 2])', "INSERT"),
        ("INSERT INTO t (p, c, s, m) VALUES ('a', 1, {1, 2}, {'a': 1})", "INSERT"),
        ("UPDATE t USING TTL ? SET v = ?, n = 1 WHERE p = ? AND c = ?", "UPDATE"),
        ("UPDATE t SET s = s + ?, m['a'] = ?, m = m - {'b'} WHERE p = ? AND c = 1", "UPDATE"),
        ("DELETE FROM t WHERE p = ?", "DELETE"),
        ("DELETE FROM t WHERE p = ? AND c > ? AND c <= 10 -- now()", "DELETE"),
        ("DELETE v, m['a'] FROM t WHERE p IN (?, 'b') AND c = ?", "DELETE"),
        ("DELETE l FROM t WHERE p = ? AND c = ?", "DELETE"),
        (
            "BEGIN BATCH INSERT INTO t (p, c) VALUES (?, ?); DELETE FROM t WHERE p = 1 APPLY BATCH",
            "BATCH",
        ),
        (
            "BEGIN UNLOGGED BATCH DELETE FROM t WHERE p = ? DELETE FROM t WHERE p = ? APPLY BATCH;",
            "BATCH",
        ),
    ],
)
def test_what_may_carry_a_stamp(cql: str, kind: str) -> None:
    assert judged(cql).kind == kind


@pytest.mark.parametrize(
    ("cql", "of", "why", "instead"),
    [
        ("INSERT INTO t (p, c) VALUES (?, ?) IF NOT EXISTS", PLAIN, "condition", "claim"),
        ("UPDATE t SET v = ? WHERE p = ? AND c = ? IF v = ?", PLAIN, "condition", "claim"),
        ("DELETE FROM t WHERE p = ? IF EXISTS", PLAIN, "condition", "claim"),
        (
            "INSERT INTO t (p, c) VALUES (?, ?) USING TIMESTAMP 5",
            PLAIN,
            "its own time",
            "Leave USING TIMESTAMP out",
        ),
        (
            "UPDATE t USING TTL 5 AND TIMESTAMP ? SET v = ? WHERE p = ? AND c = ?",
            PLAIN,
            "its own time",
            "Leave USING TIMESTAMP out",
        ),
        (
            "BEGIN BATCH USING TIMESTAMP 5 DELETE FROM t WHERE p = ? APPLY BATCH",
            PLAIN,
            "its own time",
            "Leave USING TIMESTAMP out",
        ),
        ("UPDATE t SET n = n + 1 WHERE p = ? AND c = ?", COUNTERS, "counters", "stamped=False"),
        ("DELETE FROM t WHERE p = ?", COUNTERS, "counters", "stamped=False"),
        (
            "BEGIN COUNTER BATCH UPDATE t SET n = n + 1 WHERE p = ? APPLY BATCH",
            COUNTERS,
            "counts twice",
            "stamped=False",
        ),
        ("UPDATE t SET l = l + ? WHERE p = ? AND c = ?", PLAIN, "l is a list", "frozen<list"),
        ("UPDATE t SET l = ? + l WHERE p = ? AND c = ?", PLAIN, "l is a list", "frozen<list"),
        ("UPDATE t SET l[0] = ? WHERE p = ? AND c = ?", PLAIN, "l is a list", "frozen<list"),
        ("UPDATE t SET l = ? WHERE p = ? AND c = ?", PLAIN, "l is a list", "frozen<list"),
        ("INSERT INTO t (p, c, l) VALUES (?, ?, ?)", PLAIN, "l is a list", "frozen<list"),
        ("DELETE l[0] FROM t WHERE p = ? AND c = ?", PLAIN, "l is a list", "frozen<list"),
        ("INSERT INTO t (p, c) VALUES (?, now())", PLAIN, r"now\(\)", "as a parameter"),
        ("INSERT INTO t (p, c) VALUES (uuid(), 1)", PLAIN, r"uuid\(\)", "as a parameter"),
        (
            "UPDATE t SET v = current_timestamp() WHERE p = ? AND c = ?",
            PLAIN,
            "current_timestamp",
            "as a parameter",
        ),
        ("UPDATE t SET v = ks.mine(?) WHERE p = ? AND c = ?", PLAIN, "mine", "as a parameter"),
        ("DELETE FROM t WHERE p = ? AND c = f(now())", PLAIN, r"f\(\)", "as a parameter"),
        ("UPDATE t SET n = n + 1 WHERE p = ? AND c = ?", PLAIN, "none of those", "plain values"),
        (
            "BEGIN BATCH DELETE FROM a WHERE p = 1; DELETE FROM b WHERE p = 1; APPLY BATCH",
            PLAIN,
            "several tables",
            "for each table",
        ),
        (
            "BEGIN BATCH DELETE FROM t WHERE p = 1 DELETE FROM t WHERE p = now() APPLY BATCH",
            PLAIN,
            r"now\(\)",
            "as a parameter",
        ),
    ],
)
def test_what_is_refused_says_what_to_write_instead(
    cql: str, of: TableInfo, why: str, instead: str
) -> None:
    with pytest.raises(NotRepeatableError, match=why) as caught:
        judged(cql, of)
    assert instead in caught.value.hint


@pytest.mark.parametrize(
    ("cql", "changes"),
    [
        ("SELECT v FROM t", False),
        ("TRUNCATE t", False),
        ("CREATE TABLE t (k int PRIMARY KEY)", False),
        ("", False),
        ("-- a note\nDELETE FROM t WHERE p = 1", True),
        ("begin batch delete from t where p = 1 apply batch", True),
    ],
)
def test_what_changes_data(cql: str, changes: bool) -> None:  # noqa: FBT001 -- the answer
    assert changes_data(cql) is changes


@pytest.mark.parametrize(
    ("cql", "expected"),
    [
        (
            "INSERT INTO ks.t (p, c, v) VALUES ('it''s', -3, ?)",
            {"p": (Term(text="it's"),), "c": (Term(text="-3"),), "v": (Term(0),)},
        ),
        (
            "UPDATE t USING TTL ? SET v = ? WHERE p = ? AND c = ?",
            {"p": (Term(2),), "c": (Term(3),)},
        ),
        (
            "DELETE v FROM t WHERE p IN (?, 'b') AND c = :c",
            {"p": (Term(0), Term(text="b")), "c": (Term(1),)},
        ),
        ("DELETE FROM t WHERE p = $$x$$", {"p": (Term(text="x"),)}),
    ],
)
def test_which_rows_a_statement_is_about(cql: str, expected: dict[str, Any]) -> None:
    (change,) = read_statement(cql).changes
    assert (change.keys, change.ranges) == (expected, False)


@pytest.mark.parametrize(
    "where",
    ["p = ? AND c > 5", "p = ? AND c IN ?", "p = ? AND (c) = (1)", "p = ? AND c >= ? AND c < ?"],
)
def test_a_range_is_known_as_one(where: str) -> None:
    (change,) = read_statement(f"DELETE FROM t WHERE {where}").changes  # noqa: S608 -- not sent
    assert change.ranges
    assert change.keys["p"] == (Term(0),)


def test_each_statement_of_a_batch_has_its_own_markers_and_columns() -> None:
    first, second = read_statement(
        "BEGIN BATCH UPDATE ks.t SET v = ?, n = ? WHERE p = ? AND c = ?; "
        "DELETE s FROM ks.t WHERE p = ? AND c = ? APPLY BATCH"
    ).changes
    assert (first.columns, first.keys["c"], second.columns) == (("v", "n"), (Term(3),), ("s",))
    assert (second.verb, second.keyspace, second.table) == ("DELETE", "ks", "t")
    assert second.keys == {"p": (Term(4),), "c": (Term(5),)}
