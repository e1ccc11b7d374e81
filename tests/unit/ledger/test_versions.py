from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import VersionError
from prefect_cassandra.ledger.versions import (
    before,
    find_deployment,
    in_use,
    label_of,
    named,
    standing,
)
from support.versions import NAME, TAG, version

if TYPE_CHECKING:
    from prefect_cassandra.ledger.versions import Version

FOUR = [version(4, "FAILED"), version(3), version(2), version(1)]


def test_a_label_tells_number_and_image() -> None:
    assert label_of(7, "0123456789-abcdef") == "v7-0123456789-abcdef"


def test_a_digest_is_known_when_the_image_is_in_a_registry() -> None:
    assert version(1, image="host/flows@sha256:ff").digest == "sha256:ff"
    assert version(1).digest == ""


@pytest.mark.parametrize(
    ("served", "number"),
    [(None, 3), (f"v3-{TAG}", 3), (f"v2-{TAG}", 2), ("1", None), (f"v4-{TAG}", 4)],
)
def test_what_the_server_has_is_in_use(served: str | None, number: int | None) -> None:
    found = in_use(FOUR, served)
    assert (found.number if found else None) == number


def test_nothing_is_in_use_before_anything_was_registered() -> None:
    assert in_use([version(1, "BEGUN")], None) is None
    assert in_use([], f"v1-{TAG}") is None


def test_each_version_has_a_word() -> None:
    versions = [version(5, "BEGUN"), *FOUR]
    current = in_use(versions, f"v2-{TAG}")
    words = [standing(one, current) for one in versions]
    assert words == ["unfinished", "failed", "superseded", "in use", "superseded"]


@pytest.mark.parametrize(
    ("served", "number"), [(f"v3-{TAG}", 2), (f"v2-{TAG}", 1), (None, 2), ("somebody's", 3)]
)
def test_a_rollback_means_the_version_before_the_one_in_use(
    served: str | None, number: int
) -> None:
    assert before(FOUR, NAME, served).number == number


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ([version(1)], "no version before version 1"),
        ([version(2), version(1, "FAILED")], "no version before version 2"),
        ([], "no version before what is registered"),
    ],
)
def test_there_is_no_rollback_from_the_first_version(versions: list[Version], said: str) -> None:
    with pytest.raises(VersionError, match=said):
        before(versions, NAME, None)


def test_a_number_names_a_registered_version() -> None:
    assert named(FOUR, NAME, 2).number == 2


@pytest.mark.parametrize(
    ("number", "said"),
    [(9, "has no version 9; it has: 1, 2, 3, 4"), (4, "version 4 of flights/flights is failed")],
)
def test_a_number_that_cannot_be_used_is_refused(number: int, said: str) -> None:
    with pytest.raises(VersionError, match=said) as caught:
        named(FOUR, NAME, number)
    assert "flows history" in caught.value.hint


@pytest.mark.parametrize("name", ["flights/flights", "flights"])
def test_a_deployment_is_named_in_whole_or_by_its_last_part(name: str) -> None:
    assert find_deployment(["flights/flights", "values/values"], name) == "flights/flights"


@pytest.mark.parametrize(
    ("known", "name", "said"),
    [
        (["a/x", "b/x"], "x", "a/x or b/x"),
        (["flights/flights"], "flight", "did you mean 'flights/flights'"),
        ([], "flights", "knows no deployment 'flights'"),
    ],
)
def test_a_deployment_nobody_can_tell_is_refused(known: list[str], name: str, said: str) -> None:
    with pytest.raises(VersionError, match=said):
        find_deployment(known, name)


def test_an_empty_ledger_says_how_it_gets_its_first_version() -> None:
    with pytest.raises(VersionError) as caught:
        find_deployment([], "x")
    assert "flows push" in caught.value.hint
