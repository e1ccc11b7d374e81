from __future__ import annotations

import re
from typing import Any

import pytest
from cassandra import cqltypes

from prefect_cassandra.driver.cqltype import CqlType, UserType, from_driver, parse
from prefect_cassandra.errors import ConfigurationError

TEXT, INT = CqlType("text"), CqlType("int")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("int", INT),
        ("varchar", TEXT),
        ("frozen<list<int>>", CqlType("list", (INT,))),
        (
            "frozen<map<text, frozen<list<int>>>>",
            CqlType("map", (TEXT, CqlType("list", (INT,)))),
        ),
        ("tuple<int, text>", CqlType("tuple", (INT, TEXT))),
        ("vector<float, 3>", CqlType("vector", (CqlType("float"),), size=3)),
        ("'org.example.Custom'", CqlType("custom", label="'org.example.Custom'")),
    ],
)
def test_parse_reads_types_as_the_schema_spells_them(text: Any, tree: Any) -> None:
    assert parse(text) == tree


def test_parse_looks_up_user_types_inside_collections_and_each_other() -> None:
    users = (
        UserType("street", (("name", "text"),)),
        UserType("Address", (("street", "frozen<street>"), ("zips", "list<int>"))),
    )

    found = parse('map<text, frozen<"Address">>', users).args[1]

    assert found.fields == ("street", "zips")
    assert found.args[0].fields == ("name",)
    assert str(found) == "Address"


@pytest.mark.parametrize(
    "text", ["", "list<", "list<int", "list<int>>", "map<text,>", "<int>", "a;b"]
)
def test_parse_refuses_what_is_no_type(text: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a CQL type"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "map<text, list<int>>",
        "set<uuid>",
        "tuple<int, text>",
        "frozen<tuple<int, text>>",
        "timestamp",
        "counter",
        "duration",
    ],
)
def test_from_driver_agrees_with_parse(text: Any) -> None:
    assert from_driver(cqltypes.lookup_casstype(_casstype(text))) == parse(text)


def test_from_driver_reads_vectors_and_reversed_columns() -> None:
    vector = cqltypes.lookup_casstype(
        "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)"
    )
    reverse = cqltypes.lookup_casstype(
        "org.apache.cassandra.db.marshal.ReversedType(org.apache.cassandra.db.marshal.Int32Type)"
    )

    assert from_driver(vector) == parse("vector<float, 3>")
    assert from_driver(reverse) == INT


def test_from_driver_reads_user_types() -> None:
    kind = cqltypes.UserType.make_udt_class(
        "ks", "address", ("street", "zip"), (cqltypes.UTF8Type, cqltypes.Int32Type)
    )

    assert from_driver(kind) == CqlType("udt", (TEXT, INT), ("street", "zip"), label="address")


_CLASSES = {
    "text": "UTF8Type",
    "int": "Int32Type",
    "uuid": "UUIDType",
    "timestamp": "TimestampType",
    "counter": "CounterColumnType",
    "duration": "DurationType",
    "map": "MapType",
    "set": "SetType",
    "list": "ListType",
    "tuple": "TupleType",
    "frozen": "FrozenType",
}


def _casstype(text: str) -> str:
    """Return the server's own spelling of a type, `int` as `...marshal.Int32Type`."""
    spelt = re.sub(
        r"\w+", lambda word: f"org.apache.cassandra.db.marshal.{_CLASSES[word[0]]}", text
    )
    return spelt.replace("<", "(").replace(">", ")")
