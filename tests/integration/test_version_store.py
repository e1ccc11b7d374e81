"""Versions of deployments, kept in a real Cassandra."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import LedgerError, OutcomeUnknownError, PermissionDeniedError
from prefect_cassandra.ledger.version_store import VersionStore
from prefect_cassandra.ledger.versions import Origin
from prefect_cassandra.schema import apply
from prefect_cassandra.schema.grants import OWNER
from prefect_cassandra.schema.model import LEDGER, STATE
from support.schema import Ground

ORIGIN = Origin(
    image="registry.example.org/flows@sha256:ff",
    image_tag="abc-def",
    git_commit="abc+changes",
    created_by="A Person <person@example.org>",
    kubernetes_user="person",
)
DEFINITION = {"flow": "flights", "deployment": {"name": "flights", "tags": ["ü"]}}
NAME = "flights/flights"


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("versions"))
    apply(made.config, made.installation)
    return made


@pytest.fixture
def store(ground: Ground) -> VersionStore:
    """A release that no other test uses."""
    return VersionStore(shared_session(ground.role(LEDGER)), f"test/{uuid.uuid4().hex}")


class Deaf(Session):
    """Carries a write out and does not hear the answer."""

    def execute(self, cql: str, *arguments: Any, **options: Any) -> Any:
        answer = super().execute(cql, *arguments, **options)
        if cql.startswith(("INSERT", "UPDATE")):
            raise OutcomeUnknownError("the answer was lost")
        return answer


def test_versions_are_counted_from_one_and_read_the_newest_first(store: VersionStore) -> None:
    made = [store.begin(NAME, ORIGIN) for _ in range(3)]
    assert [one.number for one in made] == [1, 2, 3]
    assert made[2].label == "v3-abc-def"
    assert store.read(NAME) == made[::-1]
    assert store.read("values/values") == []
    assert store.deployments() == [NAME]


def test_everything_about_a_version_comes_back(store: VersionStore) -> None:
    origin = replace(ORIGIN, restored_from=7, promoted_from="kind/prefect/pc version 7")
    made = store.begin(NAME, origin)
    assert store.definition(made) is None
    store.finish(made, DEFINITION)
    (found,) = store.read(NAME)
    assert found == replace(made, state="REGISTERED")
    assert found.origin == origin
    assert store.definition(found) == DEFINITION


def test_people_who_push_at_once_get_a_number_each(store: VersionStore) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: store.begin(NAME, ORIGIN), range(6)))
    assert sorted(one.number for one in made) == [1, 2, 3, 4, 5, 6]
    assert len(store.read(NAME)) == 6


def test_a_lost_answer_takes_no_second_number(ground: Ground, store: VersionStore) -> None:
    with closing(Deaf(ground.role(LEDGER))) as deaf:
        unsure = VersionStore(deaf, store.release)
        made = unsure.begin(NAME, ORIGIN)
        unsure.finish(made, DEFINITION)
    assert [(one.number, one.state) for one in store.read(NAME)] == [(1, "REGISTERED")]


def test_an_end_is_final_and_may_be_said_twice(store: VersionStore) -> None:
    good, bad = store.begin(NAME, ORIGIN), store.begin(NAME, ORIGIN)
    for _ in range(2):
        store.finish(good, DEFINITION)
        store.fail(bad)
    with pytest.raises(LedgerError, match="version 1 of flights/flights cannot become FAILED"):
        store.fail(good)
    with pytest.raises(LedgerError, match="version 2 of flights/flights cannot become REGISTERED"):
        store.finish(bad, DEFINITION)
    assert [one.state for one in store.read(NAME)] == ["FAILED", "REGISTERED"]
    assert store.definition(bad) is None


def test_releases_on_one_cassandra_do_not_mix(store: VersionStore) -> None:
    other = VersionStore(store.session, f"{store.release}-other")
    store.begin(NAME, ORIGIN)
    assert other.deployments() == []
    assert other.begin(NAME, ORIGIN).number == 1


@pytest.mark.parametrize("role", ["flow", "reader", STATE, OWNER])
def test_nobody_but_the_ledgers_role_sees_or_writes_versions(ground: Ground, role: str) -> None:
    session = shared_session(ground.role(role))
    store = VersionStore(session, "test/nobody")
    with pytest.raises(PermissionDeniedError, match="no SELECT permission"):
        store.read(NAME)
    with pytest.raises(PermissionDeniedError, match="no MODIFY permission"):
        session.execute(
            "DELETE FROM prefect_ledger.flow_versions WHERE release = 'a' AND deployment = 'b'"
        )
