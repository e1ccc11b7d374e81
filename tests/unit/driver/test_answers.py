from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.driver.answers import Page, Result

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def asked() -> list[bytes]:
    return []


@pytest.fixture
def result(asked: list[bytes]) -> Result:
    """Three pages of two rows; the second is empty, as a filtered page can be."""
    pages = {
        b"2": Page(("n",), [], b"3"),
        b"3": Page(("n",), [{"n": 3}, {"n": 4}], None),
    }

    def fetch(state: bytes) -> Page:
        asked.append(state)
        return pages[state]

    async def afetch(state: bytes) -> Page:
        return fetch(state)

    return Result(Page(("n",), [{"n": 1}, {"n": 2}], b"2"), fetch, afetch)


def numbers(rows: Iterator[dict[str, int]]) -> list[int]:
    return [row["n"] for row in rows]


def test_first_row_needs_no_further_page(result: Result, asked: list[bytes]) -> None:
    assert result.one() == {"n": 1}
    assert asked == []


def test_pages_are_asked_for_one_after_the_other_and_empty_ones_passed(
    result: Result, asked: list[bytes]
) -> None:
    rows = iter(result)
    assert [next(rows)["n"], next(rows)["n"]] == [1, 2]
    assert asked == []

    assert numbers(rows) == [3, 4]
    assert asked == [b"2", b"3"]


def test_rows_are_fetched_once_and_kept(result: Result, asked: list[bytes]) -> None:
    assert numbers(iter(result.rows)) == [1, 2, 3, 4]
    assert result.rows is result.rows
    assert numbers(iter(result)) == [1, 2, 3, 4]
    assert asked == [b"2", b"3"]


async def test_async_rows_are_fetched_once_and_kept(result: Result, asked: list[bytes]) -> None:
    assert len(await result.arows()) == 4
    assert [row["n"] async for row in result] == [1, 2, 3, 4]
    assert asked == [b"2", b"3"]


def test_answer_without_columns_is_empty() -> None:
    result = Result(Page(), None, None)  # type: ignore[arg-type]

    assert result.rows == []
    assert result.one() is None
    assert result.applied is None


@pytest.mark.parametrize("applied", [True, False])
def test_conditional_answer_says_whether_it_was_applied(*, applied: bool) -> None:
    page = Page(("[applied]",), [{"[applied]": applied}])

    assert Result(page, None, None).applied is applied  # type: ignore[arg-type]
