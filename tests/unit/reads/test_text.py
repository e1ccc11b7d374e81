from __future__ import annotations

import csv
import datetime as dt
import io
import json
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as ds
import pytest
from cassandra.util import Date, Duration

from prefect_cassandra.driver.cqltype import UserType
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.arrow import Decoder
from prefect_cassandra.reads.formats import BatchFile, codec, instead, suffix
from support.wire import page

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = (UserType("address", (("street", "text"), ("at", "timestamp"))),)
ID = uuid.UUID("12345678-1234-4234-8234-123456789abc")
MOMENT = dt.datetime(2013, 1, 1, 5, 0, 0, 123000, tzinfo=dt.UTC)

CASES: list[tuple[str, Any, str]] = [
    ("bigint", -(2**63), "-9223372036854775808"),
    ("double", 0.1, "0.1"),
    ("boolean", True, "true"),
    ("date", dt.date(2013, 1, 2), "2013-01-02"),
    ("time", dt.time(1, 2, 3), "01:02:03.000000000"),
    ("timestamp", MOMENT, "2013-01-01 05:00:00.123Z"),
    ("timestamp", (2**62).to_bytes(8, "big"), "+146140482-04-24 15:36:27.904Z"),
    ("date", (2**32 - 1).to_bytes(4, "big"), "+5881580-07-11"),
    ("date", bytes(4), "-5877641-06-23"),
    ("list<date>", [Date(2**31 - 1), dt.date(2013, 1, 2)], '["+5881580-07-11","2013-01-02"]'),
    ("uuid", ID, str(ID)),
    ("blob", b"\x00\xfe", "0x00fe"),
    ("blob", b"", "0x"),
    ("varint", 10**50, str(10**50)),
    ("duration", Duration(-1, -2, -3), "-1mo2d3ns"),
    ("inet", "::1", "::1"),
    ("text", 'a "b", c\n', 'a "b", c\n'),
    ("list<int>", [1, 2], "[1,2]"),
    ("list<uuid>", [ID], f'["{ID}"]'),
    ("map<text, blob>", {"a": b"\x01"}, '[["a","0x01"]]'),
    ("tuple<int, text>", (1, None), "[1,null]"),
    ("frozen<address>", ("x", MOMENT), '{"street":"x","at":"2013-01-01 05:00:00.123Z"}'),
    ("vector<float, 2>", [0.5, 1.0], "[0.5,1.0]"),
    (
        "frozen<list<frozen<map<int, date>>>>",
        [{1: dt.date(2013, 1, 2)}, {}],
        '[[[1,"2013-01-02"]],[]]',
    ),
]


def written(path: Path, columns: dict[str, str], rows: list[list[Any]]) -> list[list[str]]:
    raw = page(columns, rows, ADDRESS)
    decoder = Decoder(raw.names, raw.types, instead("csv", "decimal"))
    with BatchFile(path, decoder, "csv", "none") as file:
        file.write(decoder.batch(raw))
    return list(csv.reader(io.StringIO(path.read_text(), newline="")))


@pytest.mark.parametrize(("cql", "value", "text"), CASES, ids=[case[0] for case in CASES])
def test_a_value_becomes_the_text_it_is_loaded_from(
    cql: str, value: object, text: str, tmp_path: Path
) -> None:
    rows = written(tmp_path / "x.csv", {"k": "int", "a": cql}, [[1, value], [2, None], [3, value]])
    assert rows == [["k", "a"], ["1", text], ["2", ""], ["3", text]]


def test_no_value_and_empty_text_differ(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    written(path, {"k": "int", "a": "text"}, [[1, ""], [2, None]])
    assert path.read_text().splitlines() == ['"k","a"', '1,""', "2,"]


def test_numbers_that_are_none_stand_in_json_as_json_lets_them(tmp_path: Path) -> None:
    rows = written(tmp_path / "x.csv", {"a": "list<double>"}, [[[float("nan"), float("-inf")]]])
    nan, infinite = json.loads(rows[1][0])
    assert nan != nan  # noqa: PLR0124 -- what NaN is
    assert infinite == float("-inf")


def test_a_format_has_its_codecs_and_endings() -> None:
    assert codec("parquet", None) == "zstd"
    assert suffix("csv", codec("csv", "gzip")) == ".csv.gz"
    assert suffix("arrow", codec("arrow", "none")) == ".arrow"
    with pytest.raises(ConfigurationError, match="'snappy'"):
        codec("csv", "snappy")
    with pytest.raises(ConfigurationError, match="no format"):
        codec("orc", None)


@pytest.mark.parametrize("file_format", ["parquet", "arrow"])
def test_files_hold_what_was_written_in_many_batches(tmp_path: Path, file_format: str) -> None:
    raw = page(
        {"a": "int", "d": "duration"}, [[n, None if n else Duration(1, 0, 0)] for n in range(1_000)]
    )
    decoder = Decoder(raw.names, raw.types, instead(file_format, "decimal"))
    path = tmp_path / "x"
    with BatchFile(path, decoder, file_format, codec(file_format, None)) as file:
        batch = decoder.batch(raw)
        for _ in range(100):
            file.write(batch)
    table = ds.dataset(path, format=file_format).to_table()
    assert file.rows == table.num_rows == 100_000
    assert table["a"].to_pylist()[-3:] == [997, 998, 999]
