"""Where the tests of results and locks keep them, and what they look like in the tables."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from prefect_cassandra.schema import apply
from prefect_cassandra.schema.model import STATE
from prefect_cassandra.state.access import state_session
from support.schema import Ground

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.driver.session import Session


def state_ground(node: Any, superuser: Session, folder: Any) -> Ground:
    """Return a ground whose cluster has the tables of `prefect_state`."""
    made = Ground.make(node.config("superuser"), superuser, folder)
    apply(made.config, made.installation)
    return made


def state_of(ground: Ground) -> Session:
    """Return the session of the role that may use `prefect_state`."""
    return state_session(ground.role(STATE))


def child(ground: Ground, what: str, **about: Any) -> list[str]:
    """Return the command of a process that does `what`; see `state_user`."""
    config: ClusterConfig = ground.role(STATE)
    assert config.login is not None
    where = {
        "contact_points": list(config.contact_points),
        "port": config.port,
        "folder": str(config.login.folder),
    }
    return [sys.executable, "-m", "support.state_user", what, json.dumps(where | about)]
