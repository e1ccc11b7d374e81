from __future__ import annotations

import pytest

from prefect_cassandra.errors import SchemaError
from prefect_cassandra.schema.cql import quote_name, quote_text, split


def texts(cql: str) -> list[str]:
    return [statement.text for statement in split(cql)]


@pytest.mark.parametrize(
    ("cql", "expected"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1;;;\n;SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("INSERT 'a;b'; X", ["INSERT 'a;b'", "X"]),
        ("INSERT 'it''s; so'; X", ["INSERT 'it''s; so'", "X"]),
        ("AS $$ return 'x;'; $$; X", ["AS $$ return 'x;'; $$", "X"]),
        ('SELECT "a;""b"; X', ['SELECT "a;""b"', "X"]),
        ("-- one; two\nX", ["X"]),
        ("// one; two\nX; Y -- end; here", ["X", "Y"]),
        ("/* a; 'b */ X; /* -- */ Y", ["X", "Y"]),
        ("X 'not -- a comment /* nor */ this'; Y", ["X 'not -- a comment /* nor */ this'", "Y"]),
        ("A /* ; */ B; C", ["A /* ; */ B", "C"]),
        ("", []),
        ("-- nothing\n", []),
        (
            "BEGIN UNLOGGED BATCH INSERT 1; INSERT 2; APPLY BATCH; X",
            ["BEGIN UNLOGGED BATCH INSERT 1; INSERT 2; APPLY BATCH", "X"],
        ),
        ("begin batch a 'APPLY BATCH;'; b; apply batch", None),
    ],
)
def test_split_cuts_only_at_semicolons_that_end_a_statement(
    cql: str, expected: list[str] | None
) -> None:
    assert texts(cql) == ([cql] if expected is None else expected)


def test_split_tells_the_line_each_statement_begins_on() -> None:
    assert [s.line for s in split("-- head\n\nA\n  B;\n/* x\n */ C;")] == [3, 6]


@pytest.mark.parametrize(
    ("cql", "line"), [("A;\n'open", 2), ("/* open", 1), ('\n\n"open', 3), ("$$ open", 1)]
)
def test_split_refuses_what_is_not_closed(cql: str, line: int) -> None:
    with pytest.raises(SchemaError, match=rf"line {line}: .* is not closed"):
        split(cql)


def test_split_refuses_a_batch_without_its_end() -> None:
    with pytest.raises(SchemaError, match="line 2: BEGIN BATCH without APPLY BATCH"):
        split("A;\nBEGIN BATCH INSERT 1; INSERT 2;")


def test_every_character_of_the_file_is_in_a_token_or_a_gap() -> None:
    cql = "CREATE TABLE é.ü (a int, \"B\" text) WITH comment = 'x;ß' AND x = 1.5e-3; -- ok"
    (statement,) = split(cql)
    assert statement.text == cql.split("; --", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("flights", "flights"), ("Flights", '"Flights"'), ('a"b', '"a""b"'), ("1a", '"1a"')],
)
def test_quote_name_quotes_only_what_would_change(name: str, expected: str) -> None:
    assert quote_name(name) == expected


def test_quote_text_doubles_quotes() -> None:
    assert quote_text("it's") == "'it''s'"
