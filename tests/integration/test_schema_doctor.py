"""What the doctor asks a real Cassandra, logged in as the role that it has in the cluster."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.kube.doctor.data import look_at_canary, look_at_migrations
from prefect_cassandra.kube.doctor.ring import (
    judge_agreement,
    judge_release,
    judge_ring,
    read_ring,
)
from prefect_cassandra.schema import apply, load_keyspaces
from prefect_cassandra.schema.migrations import read_folders
from support.schema import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ground(node: Any, superuser: Session, tmp_path: Path) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path)
    made.write("0001_first", "a")
    apply(made.config, made.installation)
    return made


@pytest.fixture
def ledger(ground: Ground) -> Iterator[Session]:
    with closing(Session(ground.role("prefect_ledger"))) as session:
        yield session


def test_the_ring_is_seen_with_its_heartbeats(ledger: Session) -> None:
    nodes = read_ring(ledger)
    assert [node.is_alive for node in nodes] == [True]
    assert [node.state for node in nodes] == ["NORMAL"]
    assert judge_ring(nodes, 1).status == "ok"
    assert judge_ring(nodes, 3).status == "fail"
    assert judge_agreement(nodes).status == "ok"
    assert judge_release(nodes).evidence.startswith("Cassandra 5.0.")


def test_a_role_that_may_not_see_gossip_sees_the_members(ground: Ground) -> None:
    with closing(Session(ground.role("reader"))) as session:
        nodes = read_ring(session)
    assert [node.is_alive for node in nodes] == [None]
    assert judge_ring(nodes, 1).status == "skipped"
    assert judge_agreement(nodes).status == "ok"


def test_the_canary_sings_and_its_row_ends_by_itself(ledger: Session) -> None:
    check = look_at_canary(ledger)
    # How long it takes on a busy machine is what the check is to say, and not tested here.
    assert check.status != "fail"
    assert "a row was written and read" in check.evidence
    rows = ledger.execute("SELECT TTL(written_at) AS left FROM prefect_ledger.canary").rows
    assert rows
    assert all(0 < row["left"] <= 3600 for row in rows)


def test_a_role_that_may_not_write_hears_no_canary(ground: Ground) -> None:
    with closing(Session(ground.role("flow"))) as session:
        check = look_at_canary(session)
    assert check.status == "fail"
    assert "flow" in check.evidence


def test_migrations_are_compared_with_the_files(ground: Ground, ledger: Session) -> None:
    def states() -> Any:
        return look_at_migrations(ledger, read_folders(load_keyspaces(ground.file)))

    # Other tests of this node leave records of keyspaces that no folder has.
    assert f"{ground.keyspace}/" not in states().evidence
    ground.write("0002_second", "b")
    check = states()
    assert check.status == "warn"
    assert check.evidence == f"pending: {ground.keyspace}/0002_second"
    ground.write("0001_first", "c")
    check = states()
    assert check.status == "fail"
    assert f"{ground.keyspace}/0001_first" in check.evidence
