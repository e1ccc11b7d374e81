"""Results on a real node: whole, checked, replaced, and kept as long as they should be."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import (
    DataError,
    LockLostError,
    ResultDamagedError,
    ResultMissingError,
    ResultTooLargeError,
    StateError,
)
from prefect_cassandra.state import results as room
from prefect_cassandra.state.results import INLINE, LARGEST, PART, Results
from support.state import state_ground, state_of

if TYPE_CHECKING:
    from support.schema import Ground


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return state_ground(node, superuser, tmp_path_factory.mktemp("results"))


@pytest.fixture
def results(ground: Ground) -> Results:
    return Results(state_of(ground))


@pytest.fixture
def key() -> str:
    return f"result/{uuid.uuid4().hex}"


def rows(results: Results, key: str) -> list[Any]:
    found = results.session.execute("SELECT * FROM prefect_state.records WHERE key = ?", [key])
    return [row for row in found if row["version"] is not None]


def part(results: Results, row: Any, number: int) -> Any:
    cql = "SELECT content FROM prefect_state.record_parts WHERE writer = ? AND number = ?"
    return results.session.execute(cql, [row["writer"], number]).one()


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, PART, 2 * PART + 17])
def test_a_result_comes_back_as_it_was_written(results: Results, key: str, size: int) -> None:
    content = bytes(number % 251 for number in range(size % 9973)) + bytes(size - size % 9973)
    assert not results.exists(key)
    results.write(key, content)
    assert results.exists(key)
    assert results.read(key) == content


@pytest.mark.long
def test_the_largest_result_comes_back(results: Results, key: str) -> None:
    content = bytes(range(256)) * (LARGEST // 256)
    results.write(key, content)
    assert results.read(key) == content


def test_what_replaces_a_result_leaves_nothing_of_it(results: Results, key: str) -> None:
    results.write(key, b"a" * (PART + 1))
    (first,) = rows(results, key)
    assert first["parts"] == 2
    results.write(key, b"b")
    assert [row["content"] for row in rows(results, key)] == [b"b"]
    assert part(results, first, 0) is None
    assert part(results, first, 1) is None


def test_the_later_write_wins_though_its_machines_clock_is_an_hour_behind(
    ground: Ground, results: Results, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.write(key, b"first")
    late = Session(ground.role("prefect_state"))
    right = late.clock
    monkeypatch.setattr(late, "clock", lambda: right() - 3_600_000_000)
    Results(late).write(key, b"second")
    late.close()
    assert results.read(key) == b"second"
    assert len(rows(results, key)) == 1


def test_a_missing_result_is_an_error_and_a_value_error(results: Results, key: str) -> None:
    with pytest.raises(ResultMissingError, match=key) as caught:
        results.read(key)
    assert isinstance(caught.value, ValueError)


def test_a_key_that_cannot_be_stored_is_refused(results: Results) -> None:
    for bad in ("", "x" * 65_536):
        with pytest.raises(DataError, match="cannot be kept"):
            results.write(bad, b"")


def test_too_large_a_result_is_refused_and_the_old_one_stays(
    results: Results, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LARGEST", 1000)
    results.write(key, b"old")
    with pytest.raises(ResultTooLargeError, match="result_storage="):
        results.write(key, bytes(1001))
    assert results.read(key) == b"old"


def test_a_damaged_result_is_never_handed_out(results: Results, key: str) -> None:
    results.write(key, b"right")
    (row,) = rows(results, key)
    results.session.execute(
        """UPDATE prefect_state.records SET content = ? WHERE key = ? AND version = ?
 AND writer = ?""",
        [b"wrong", key, row["version"], row["writer"]],
        timestamp=row["version"] + 1,
    )
    with pytest.raises(ResultDamagedError, match="SHA-256"):
        results.read(key)
    results.write(key, bytes(PART + 1))
    (row,) = rows(results, key)
    results.session.execute(
        "DELETE FROM prefect_state.record_parts WHERE writer = ? AND number = ?",
        [row["writer"], 1],
    )
    with pytest.raises(ResultDamagedError, match="not whole"):
        results.read(key)


def test_everything_expires_and_parts_last(ground: Ground, key: str) -> None:
    results = Results(state_of(ground), ttl=1000)
    results.write(key, bytes(INLINE + 1))
    (row,) = rows(results, key)
    ttl = "SELECT TTL({}) AS ttl FROM prefect_state.{} WHERE {}"
    of_row = results.session.execute(ttl.format("size", "records", "key = ?"), [key]).one()
    of_part = results.session.execute(
        ttl.format("content", "record_parts", "writer = ? AND number = 0"), [row["writer"]]
    ).one()
    assert of_row is not None
    assert of_part is not None
    assert 900 < of_row["ttl"] <= 1000 < of_part["ttl"]


def test_readers_meet_one_writers_whole_value_while_others_write(
    results: Results, key: str
) -> None:
    sizes = {b"a": 10, b"b": INLINE, b"c": INLINE + 1, b"d": 3 * PART}
    results.write(key, b"a" * 10)

    def write(letter: bytes) -> None:
        for _ in range(6):
            results.write(key, letter * sizes[letter])

    def read(_: int) -> set[tuple[bytes, int]]:
        found = [results.read(key) for _ in range(12)]
        return {(bytes({*content}), len(content)) for content in found}

    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(write, letter) for letter in sizes]
        seen = set().union(*pool.map(read, range(4)))
        for one in writing:
            one.result()
    assert seen <= set(sizes.items())
    last = results.read(key)
    assert (last[:1], len(last)) in sizes.items()


def test_a_fence_is_compared_by_the_write_itself(results: Results, key: str) -> None:
    results.session.execute(
        "UPDATE prefect_state.records SET fence = 7 WHERE key = ? IF fence = null", [key]
    )
    results.write(key, b"in time", fence=7)
    results.write(key, bytes(PART), fence=7)
    for fence in (6, 8):
        with pytest.raises(LockLostError, match=key):
            results.write(key, b"too late", fence=fence)
    assert results.read(key) == bytes(PART)
    results.write(key, b"unguarded")
    assert results.read(key) == b"unguarded"


def test_a_flows_role_may_not_touch_the_state(ground: Ground, key: str) -> None:
    flow = Results(shared_session(ground.role("flow")))
    for use in (flow.exists, flow.read, lambda key: flow.write(key, b"")):
        with pytest.raises(StateError, match="may not use prefect_state"):
            use(key)
