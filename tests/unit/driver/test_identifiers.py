from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.identifiers import dotted, qualified, quote
from prefect_cassandra.driver.statements import tokens
from prefect_cassandra.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("flights.by_day", ("flights", "by_day")),
        ("Flights.ByDay", ("flights", "byday")),
        ('"Flights"."ByDay"', ("Flights", "ByDay")),
        ('flights."ByDay"', ("flights", "ByDay")),
        (" flights.by_day ", ("flights", "by_day")),
    ],
)
def test_qualified_reads_names_as_cassandra_stores_them(written: Any, stored: Any) -> None:
    assert qualified(written) == stored


def test_qualified_puts_a_bare_table_into_the_keyspace_given() -> None:
    assert qualified("by_day", "flights") == ("flights", "by_day")
    assert qualified("other.by_day", "flights") == ("other", "by_day")


@pytest.mark.parametrize(
    "written",
    [
        "",
        "flights",
        "a.b.c",
        "a.",
        ".b",
        "a b.c",
        "a.b; DROP TABLE x",
        'a."b',
        'a."b;c"',
        "a." + "b" * 49,
        "a.1b",
    ],
)
def test_qualified_refuses_what_is_no_table_name(written: Any) -> None:
    with pytest.raises(ConfigurationError, match="does not name a table"):
        qualified(written)


def test_quote_refuses_an_empty_name_and_a_nul() -> None:
    for name in ("", "a\0b"):
        with pytest.raises(ConfigurationError):
            quote(name)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_quote_makes_exactly_one_word_that_means_the_name(name: Any) -> None:
    found = tokens(quote(name))

    assert [word.kind for word in found] == ["quoted"]
    assert found[0].name == name


def test_dotted_quotes_both_names() -> None:
    assert dotted("Flights", 'by"day') == '"Flights"."by""day"'
