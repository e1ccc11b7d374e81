"""Makes a new cluster ours: its superuser, its keyspaces and roles, and the proof that it is shut.

What a platform does at each install and upgrade; doing it again changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_cassandra.driver.config import Login
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.schema.applying import Applied, apply
from prefect_cassandra.schema.grants import wanted_roles
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.superuser import (
    DEFAULT_LOGIN,
    ensure_superuser,
    is_refused,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.schema.model import Installation

# Nodes keep credentials for 2 s (`credentials_validity`), the old ones of a changed Secret too.
_LOGIN_SETTLES = 30.0
_PAUSE = 0.2


def bootstrap(
    config: ClusterConfig,
    installation: Installation,
    *,
    nodes: int,
    timeout: float,
    progress: Callable[[str], None],
) -> Applied:
    """Bring a cluster that was just started, or upgraded, to what the installation says.

    The mounted logins are the truth here: a role whose password differs from its file gets the
    file's. That is how a changed Secret reaches the database.

    Args:
        config: Connection of the superuser, whose login is a folder of mounted files.
        installation: Keyspaces, environment, and the folder with every role's login.
        nodes: Nodes of the cluster; all have to be up. 0 takes the cluster as somebody else's, who
            made the superuser and keeps the copies of the logins.
        timeout: Seconds to wait for the nodes.
        progress: Called with one line for each thing that is about to be done.

    Raises:
        AuthenticationError: The cluster does not know the superuser.
        UnreachableError: The nodes did not get ready in time.
        ConfigurationError: The cluster lets in who should be refused, or refuses one of the roles;
            or the superuser's login is not a folder.
    """
    if nodes:
        if config.login is None or config.login.folder is None:
            raise ConfigurationError("the superuser's login has to be a folder of mounted files")
        progress(f"superuser of {nodes} node(s)")
        copies = installation.replication[LEDGER]
        superuser = config.login.folder
        ensure_superuser(
            config, superuser, copies=copies, nodes=nodes, timeout=timeout, progress=progress
        )
    applied = apply(config, installation, reset_passwords=True, progress=progress)
    prove_shut(config)
    progress("the default login and logins without a name are refused")
    prove_open(config, installation)
    progress("every role logs in")
    return applied


def prove_shut(cluster: ClusterConfig) -> None:
    """Try to get in without a name and as `cassandra`.

    Raises:
        ConfigurationError: That worked, or nobody answered.
    """
    for login, what in ((None, "connections without a login"), (DEFAULT_LOGIN, "cassandra")):
        if not is_refused(replace(cluster, login=login)):
            raise ConfigurationError(
                f"the cluster does not refuse {what}",
                hint="Set PasswordAuthenticator in cassandra.yaml of every node; roles protect "
                "nothing without it.",
            )


def prove_open(cluster: ClusterConfig, installation: Installation) -> None:
    """Log in as every role with the file it was given.

    Raises:
        ConfigurationError: One is refused.
    """
    deadline = time.monotonic() + _LOGIN_SETTLES
    for role in wanted_roles(installation.applications):
        login = Login(folder=installation.secrets / role)
        while problem := refusal(replace(cluster, login=login)):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{role} cannot log in with the password of {installation.secrets / role}: "
                    f"{problem.message}"
                )
            time.sleep(_PAUSE)
