"""`prefect-cassandra schema`: keyspaces, migrations and roles of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.connecting import Nodes
from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.schema import Installation

app = App(name="schema", help="Keyspaces, migrations and roles of a cluster.")

Output = Annotated[Literal["table", "json"], Parameter(help="For people, or for programs.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Target(Nodes):
    """Which cluster, as whom, and what it is to hold.

    Without contact points it is the stack that runs on this machine (`prefect-cassandra local up`),
    which also knows the environment, the port, the logins and the certificate.
    """

    file: Annotated[Path, Parameter(help="The keyspaces of the installation.")] = Path(
        "flows/keyspaces.yaml"
    )
    environment: Annotated[
        str | None, Parameter(help="Environment of the file [default: the local stack's].")
    ] = None
    secrets: Annotated[
        Path | None, Parameter(help="Folder of the roles' logins, one sub-folder for each.")
    ] = None


@app.command(name="apply")
def apply_(
    *,
    target: Target | None = None,
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Print the CQL that would be sent and change nothing.")
    ] = False,
    reset_passwords: Annotated[
        bool,
        Parameter(negative=(), help="Set new passwords where a role's file does not log in."),
    ] = False,
    lock_wait: Annotated[float, Parameter(help="Seconds to wait for another runner.")] = 300.0,
    output: Output = "table",
) -> int:
    """Make the cluster what the file says: keyspaces, roles, grants, migrations. Safe to repeat.

    Missing password files are made in the secrets folder; passwords never leave it.
    """
    from prefect_cassandra.cli import schema_output as show
    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.schema import LeaseRules, apply, plan

    config, installation = _resolve(target or Target())
    if dry_run:
        show.show_plan(plan(config, installation), output)
        return 0
    done = apply(
        config,
        installation,
        rules=LeaseRules(wait=lock_wait),
        reset_passwords=reset_passwords,
        progress=tell,
    )
    show.show_applied(done, output)
    return 0


@app.command
def migrate(
    *,
    target: Target | None = None,
    lock_wait: Annotated[float, Parameter(help="Seconds to wait for another runner.")] = 300.0,
) -> None:
    """Carry out pending migrations as the owner; no superuser is needed. Safe to repeat.

    The keyspaces and roles are there already, made by `apply` or by the platform. The login folder
    is that of `prefect_owner`; the environment and the secrets of the other roles do not matter.
    """
    from prefect_cassandra.cli.output import messages, tell
    from prefect_cassandra.schema import LeaseRules, load_keyspaces
    from prefect_cassandra.schema import migrate as carry_out

    target = target or Target()
    keyspaces = load_keyspaces(target.file)
    done = carry_out(
        _owner(target),
        keyspaces,
        rules=LeaseRules(wait=lock_wait),
        progress=tell,
    )
    messages().print(f"{len(done)} migration(s) carried out.")


@app.command
def status(*, target: Target | None = None, output: Output = "table") -> int:
    """Compare the cluster with the file.

    Exit code 0 when they agree, 1 when something is pending, changed or drifted or a guardrail that
    should stop DROP and TRUNCATE is off.
    """
    from prefect_cassandra.cli import schema_output as show
    from prefect_cassandra.schema import status as read_status

    config, installation = _resolve(target or Target())
    found = read_status(config, installation)
    show.show_status(found, output)
    return 0 if found.ok else 1


@app.command
def rotate(role: str, *, target: Target | None = None) -> None:
    """Give one role a new password: the file first, then the database. Open connections go on.

    Args:
        role: For example flights_flow; `schema status` lists them.
        target: Which cluster.
    """
    from prefect_cassandra.cli.output import messages
    from prefect_cassandra.schema import rotate as rotate_role

    config, installation = _resolve(target or Target())
    rotate_role(config, installation, role)
    messages().print(f"{role} has a new password, in {installation.secrets / role}/.")


def _resolve(target: Target) -> tuple[ClusterConfig, Installation]:
    """Turn the options into a connection and an installation; the file is read first."""
    from prefect_cassandra.schema import Installation, load_keyspaces

    keyspaces = load_keyspaces(target.file)
    if not target.contact_points:
        config, environment, secrets = _local(target)
    else:
        config, environment, secrets = _remote(target)
    return config, Installation(
        keyspaces, target.environment or environment, target.secrets or secrets
    )


def _local(target: Target) -> tuple[ClusterConfig, str, Path]:
    """Take what is not given from the stack that runs on this machine."""
    from prefect_cassandra.local.plan import data_folder
    from prefect_cassandra.local.project import environment_of
    from prefect_cassandra.local.supervisor import require_running
    from prefect_cassandra.local.tools import cassandra_of

    folder = data_folder(target.data)
    state = require_running(folder)
    # Only the addresses are wanted: no jar is looked at, so the folder of downloads does not
    # matter, and asking the settings for it would import Prefect.
    config = cassandra_of(folder, state, folder).cluster_config("superuser")
    return config, environment_of(state.nodes), folder / "secrets"


def _remote(target: Target) -> tuple[ClusterConfig, str, Path]:
    """Build the connection from the options; nothing is guessed about a cluster of one's own."""
    needed = {
        "--environment": target.environment,
        "--login-folder": target.login_folder,
        "--secrets": target.secrets,
    }
    missing = [option for option, value in needed.items() if value is None]
    if target.environment is None or target.login_folder is None or target.secrets is None:
        raise ConfigurationError(
            f"--contact-points needs {', '.join(missing)} as well",
            hint="Leave --contact-points out to use the stack that runs on this machine.",
        )
    return target.config(target.login_folder), target.environment, target.secrets


def _owner(target: Target) -> ClusterConfig:
    """Build the owner's connection."""
    from prefect_cassandra.driver.config import Login
    from prefect_cassandra.schema.grants import OWNER

    if not target.contact_points:
        config, _, secrets = _local(target)
        return replace(config, login=Login(folder=target.login_folder or secrets / OWNER))
    if target.login_folder is None:
        raise ConfigurationError(
            "--contact-points needs --login-folder as well",
            hint="Name the folder with the owner's files username and password.",
        )
    return target.config(target.login_folder)
