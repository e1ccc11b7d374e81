from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from prefect_cassandra.driver.config import ClusterConfig, Login, Tls
from prefect_cassandra.errors import ConfigurationError


def test_repr_hides_the_password_of_a_login_inside_a_config() -> None:
    config = ClusterConfig(("db",), login=Login("ada", "s3cret"))

    assert "s3cret" not in repr(config)
    assert "ada" in repr(config)


def test_config_made_from_a_list_is_hashable_and_equal_to_one_made_from_a_tuple() -> None:
    assert hash(ClusterConfig(["db"])) == hash(ClusterConfig(("db",)))  # type: ignore[arg-type]


def test_config_survives_pickling_and_copying() -> None:
    config = ClusterConfig(("db",), login=Login(folder=Path("/secrets")), tls=Tls())

    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 -- made one line above
    assert copy.deepcopy(config) == config


@pytest.mark.parametrize(
    ("username", "password", "folder"),
    [
        ("ada", None, None),
        (None, "x", None),
        (None, None, None),
        ("ada", "x", Path("/secrets")),
        ("ada", None, Path("/secrets")),
    ],
)
def test_login_refuses_half_a_login_and_two_logins(
    username: Any, password: Any, folder: Any
) -> None:
    with pytest.raises(ConfigurationError):
        Login(username, password, folder)


def test_config_refuses_a_bundle_beside_contact_points() -> None:
    with pytest.raises(ConfigurationError, match="own contact points"):
        ClusterConfig(("db",), secure_connect_bundle=Path("bundle.zip"))


def test_config_refuses_a_bundle_beside_tls() -> None:
    with pytest.raises(ConfigurationError, match="own contact points"):
        ClusterConfig(tls=Tls(), secure_connect_bundle=Path("bundle.zip"))


def test_config_refuses_to_have_no_address_at_all() -> None:
    with pytest.raises(ConfigurationError, match="contact points"):
        ClusterConfig()


@pytest.mark.parametrize(
    "levels",
    [{"consistency": "QUORUMM"}, {"serial_consistency": "QUORUM"}, {"consistency": "quorum"}],
)
def test_config_names_the_levels_it_knows_when_one_is_wrong(levels: Any) -> None:
    with pytest.raises(ConfigurationError, match="LOCAL_SERIAL"):
        ClusterConfig(("db",), **levels)
