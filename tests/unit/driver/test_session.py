from __future__ import annotations

import copy
import pickle
import threading
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest
from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import close_sessions, shared_session
from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = ClusterConfig(("127.0.0.1",), port=1, login=Login("ada", "hunter2"))


@pytest.fixture(autouse=True)
def no_sessions_left() -> Iterator[None]:
    yield
    close_sessions()


@pytest.mark.parametrize("copier", [pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy])
def test_session_refuses_to_be_pickled_and_says_what_to_pass_instead(copier: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be pickled") as caught:
        copier(Session(CONFIG))

    assert "CassandraCluster block" in caught.value.hint
    assert "ClusterConfig" in caught.value.hint


def test_session_is_one_per_configuration_in_all_threads() -> None:
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(shared_session(CONFIG))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(session) for session in found}) == 1
    assert shared_session(ClusterConfig(("127.0.0.2",))) is not found[0]


def test_closed_session_says_so_and_is_replaced_when_asked_for_again() -> None:
    session = shared_session(CONFIG)
    session.close()

    with pytest.raises(ConfigurationError, match="closed"):
        session.execute("SELECT * FROM system.local")
    assert shared_session(CONFIG) is not session


def test_session_shows_its_cluster_and_no_password() -> None:
    assert "127.0.0.1" in repr(Session(CONFIG))
    assert "hunter2" not in repr(Session(CONFIG))


def test_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="fetchsize"):
        Session(CONFIG).execute("SELECT 1", fetchsize=1)  # type: ignore[call-arg]


def test_a_condition_can_be_decided_elsewhere_than_the_sessions_own() -> None:
    session = Session(ClusterConfig(("127.0.0.1",), port=1, serial_consistency="LOCAL_SERIAL"))
    request = session.request_for(SimpleStatement(""), "", serial_consistency="SERIAL")
    assert request.statement.serial_consistency_level == ConsistencyLevel.SERIAL
    with pytest.raises(ConfigurationError, match="'QUORUM' is not a serial consistency level"):
        session.execute("SELECT 1", serial_consistency="QUORUM")


def test_unknown_consistency_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigurationError, match="QUORUMM"):
        Session(CONFIG).execute("SELECT 1", consistency="QUORUMM")
