"""Carries a plan out: under the schema lock, each migration recorded statement by statement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    OutcomeUnknownError,
    PermissionDeniedError,
    SchemaError,
)
from prefect_cassandra.schema import planning
from prefect_cassandra.schema.cluster import read_facts
from prefect_cassandra.schema.credentials import PasswordFolder
from prefect_cassandra.schema.grants import OWNER, wanted_roles
from prefect_cassandra.schema.lock import LeaseRules, SchemaLock
from prefect_cassandra.schema.migrations import pending, read_folders
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.records import Recorder, once_known, read_records
from prefect_cassandra.schema.roles import password_step
from prefect_cassandra.schema.steps import PASSWORD_MARK

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.schema.migrations import Migration, Pending
    from prefect_cassandra.schema.model import Installation, Keyspaces
    from prefect_cassandra.schema.rules import Change
    from prefect_cassandra.schema.steps import Step

T = TypeVar("T")
Progress = Callable[[str], None]

# Changing the schema of a busy cluster takes longer than a read or a write.
_DDL_TIMEOUT = 60.0
_ATTEMPTS = 4
# Nodes keep permissions for two seconds (`permissions_validity`), refusals included.
_GRANTS_SETTLE = 5.0
_LOGIN_SETTLES = 30.0
_EXISTS = {
    "TABLE": """SELECT table_name FROM system_schema.tables
 WHERE keyspace_name = ? AND table_name = ?""",
    "TYPE": """SELECT type_name FROM system_schema.types
 WHERE keyspace_name = ? AND type_name = ?""",
}


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did.

    Attributes:
        steps: Keyspace, role and grant statements that were sent.
        migrations: Labels of the migrations this runner finished.
        notes: What a person should know, e.g. a repair that is now needed.
        seconds: From the first look to the last record.
    """

    environment: str
    steps: tuple[Step, ...]
    migrations: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def apply(
    config: ClusterConfig,
    installation: Installation,
    *,
    rules: LeaseRules | None = None,
    reset_passwords: bool = False,
    progress: Progress | None = None,
) -> Applied:
    """Make the cluster what the file says: keyspaces, roles, grants, migrations. Safe to repeat.

    Keyspaces and roles are made with `config`'s login, a superuser; migrations run as the owner,
    with the login this function writes to the secrets folder.

    Args:
        config: Connection of a superuser.
        installation: The file, the environment and the password files; missing ones are made.
        rules: Lease and waiting times of the schema lock.
        reset_passwords: Set passwords anew where a role exists and its file does not log in.
        progress: Called with one line for each thing that is about to be done.

    Raises:
        ConfigurationError: The environment is not in the file or does not fit the cluster, or the
            secrets folder is not the one the roles were made with.
        MigrationChangedError: An applied file is not what it was.
        SchemaError: A migration cannot be applied as it stands.
        SchemaLockedError: Another runner held the lock too long, or took it over.
        PermissionDeniedError: The connection is not a superuser's.
        OutcomeUnknownError: The cluster stopped answering; run it again.
    """
    began = time.monotonic()
    first = planning.plan(config, installation)
    if first.is_empty:
        return Applied(first.environment, (), (), first.notes, time.monotonic() - began)
    if first.lost_logins and not reset_passwords:
        raise _lost_logins(first.lost_logins, installation)
    session = shared_session(config)
    tell = progress or _silent
    for step in first.bookkeeping:
        tell(step.subject)
        once_known(partial(_send, session, step.cql))
    with SchemaLock(session, rules) as lock:
        runner = _Runner(config, installation, lock, tell)
        runner.finish_rotations(first.rotations)
        # Another runner may have done everything while this one waited for the lock.
        current = planning.plan(config, installation)
        resets = tuple(password_step(role) for role in current.lost_logins)
        if resets and not reset_passwords:
            raise _lost_logins(current.lost_logins, installation)
        runner.take((*current.steps, *resets))
        finished = runner.migrate(current.folders)
    sent = (*first.bookkeeping, *current.steps, *resets)
    notes = [f"{step.subject}: {step.note}" for step in sent if step.note]
    seconds = time.monotonic() - began
    return Applied(first.environment, sent, tuple(finished), (*notes, *current.notes), seconds)


def migrate(
    config: ClusterConfig,
    keyspaces: Keyspaces,
    *,
    rules: LeaseRules | None = None,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Carry out what is pending of the migrations, and nothing else; needs no superuser.

    Args:
        config: Connection of the owner, `prefect_owner`.
        keyspaces: The file. Its keyspaces are there already, made by `apply`.
        rules: Lease and waiting times of the schema lock.
        progress: Called with one line for each thing that is about to be done.

    Returns:
        The labels of the migrations this runner finished.

    Raises:
        MigrationChangedError: An applied file is not what it was.
        SchemaError: A keyspace is missing, or a migration cannot be applied as it stands.
        SchemaLockedError: Another runner held the lock too long, or took it over.
        PermissionDeniedError: The login is not the owner's.
        OutcomeUnknownError: The cluster stopped answering; run it again.
    """
    folders = read_folders(keyspaces)
    owner = shared_session(config)
    _check_keyspaces(owner, [LEDGER, *folders])
    with SchemaLock(owner, rules) as lock:
        return tuple(_Migrator(owner, lock, progress or _silent).run(folders))


def _check_keyspaces(session: Session, wanted: Sequence[str]) -> None:
    rows = session.execute("SELECT keyspace_name FROM system_schema.keyspaces", idempotent=True)
    found = {row["keyspace_name"] for row in rows}
    if missing := [name for name in wanted if name not in found]:
        raise SchemaError(
            f"there is no keyspace {', '.join(missing)}",
            hint="A superuser makes keyspaces: `prefect-cassandra schema apply`, or the chart's "
            "value `keyspaces` and `helm upgrade`.",
        )


def rotate(
    config: ClusterConfig,
    installation: Installation,
    role: str,
    *,
    rules: LeaseRules | None = None,
) -> None:
    """Give one role a new password.

    The new one is on disk before the database learns its hash, and takes the place of the old one
    after. Open connections go on; new ones read the file. Nodes keep credentials for a while
    (`credentials_validity`, 2 s): a node that saw a login just before refuses the new password for
    so long, so this returns when a login with it succeeded.

    Raises:
        ConfigurationError: The role is not one of this installation, or was not made yet.
        OutcomeUnknownError: The cluster stopped answering; the next `apply` finishes it.
        AuthenticationError: The new password was still refused after half a minute.
    """
    known = wanted_roles(installation.applications)
    if role not in known:
        raise ConfigurationError(
            f"{role!r} is not a role of this installation", hint=f"They are: {', '.join(known)}."
        )
    session = shared_session(config)
    if role not in read_facts(session, known).roles:
        raise ConfigurationError(
            f"the role {role} does not exist yet",
            hint="Run `prefect-cassandra schema apply` first.",
        )
    folder = PasswordFolder(installation.secrets)
    with SchemaLock(session, rules) as lock:
        _Runner(config, installation, lock, _silent).finish_rotations((role,))
        hashed = folder.stage(role)
        lock.check()
        _send(session, password_step(role).cql.replace(PASSWORD_MARK, hashed))
        folder.promote(role)
    _wait_for_login(replace(config, login=Login(folder=folder.login_folder(role))))


class _Runner:
    """One holder of the lock, at work."""

    def __init__(
        self,
        config: ClusterConfig,
        installation: Installation,
        lock: SchemaLock,
        tell: Progress,
    ) -> None:
        self.config = config
        self.installation = installation
        self.session = shared_session(config)
        self.folder = PasswordFolder(installation.secrets)
        self.lock = lock
        self.tell = tell
        self.granted_until = 0.0

    def finish_rotations(self, roles: tuple[str, ...]) -> None:
        """Bring rotations that were interrupted to the end the database knows."""
        if roles:
            facts = read_facts(self.session, roles)
            for role, found in facts.roles.items():
                self.folder.recover(role, found.hashed_password)

    def take(self, steps: tuple[Step, ...]) -> None:
        """Send the statements of the superuser."""
        told = ""
        for step in steps:
            if step.subject != told:
                told = step.subject
                self.tell(told)
            cql = step.cql
            if step.password_of is not None:
                self.folder.ensure(step.password_of)
                cql = cql.replace(PASSWORD_MARK, self.folder.hashed(step.password_of))
            self.lock.check()
            _send(self.session, cql)
        if steps:
            self.granted_until = time.monotonic() + _GRANTS_SETTLE

    def migrate(self, folders: Mapping[str, Sequence[Migration]]) -> list[str]:
        """Carry out the migrations as the owner; returns the labels of the finished ones."""
        login = Login(folder=self.folder.login_folder(OWNER))
        owner = shared_session(replace(self.config, login=login))
        return _Migrator(owner, self.lock, self.tell, self.granted_until).run(folders)


class _Migrator:
    """The owner, behind the lock, at work on the migrations.

    Args:
        owner: Logged in as the owner.
        lock: Held.
        tell: Called with one line for each migration that is about to be carried out.
        granted_until: Until when, on the monotonic clock, a node may not have seen the grants.
    """

    def __init__(
        self, owner: Session, lock: SchemaLock, tell: Progress, granted_until: float = 0.0
    ) -> None:
        self.owner = owner
        self.lock = lock
        self.tell = tell
        self.granted_until = granted_until
        self.recorder = Recorder(owner, lock.epoch, OWNER, lock.runner)

    def run(self, folders: Mapping[str, Sequence[Migration]]) -> list[str]:
        """Carry out what is pending; returns the labels of the finished ones."""
        finished = []
        for keyspace, migrations in folders.items():
            self._when_granted(partial(self.recorder.raise_fence, keyspace))
            # Only behind the fence are the records final: read them again, then decide.
            for item in pending(keyspace, migrations, read_records(self.owner, keyspace)):
                self._carry_out(item)
                finished.append(item.migration.label)
        return finished

    def _carry_out(self, item: Pending) -> None:
        migration, done, recorder = item.migration, item.done, self.recorder
        self.tell(migration.label + (f", from statement {done + 1} on" if item.record else ""))
        self.lock.check()
        record = (
            recorder.resume(migration, item.record) if item.record else recorder.begin(migration)
        )
        if done == len(migration.statements):
            # The refused last statement was taken out of the file; there is nothing left to send.
            recorder.advance(migration, done, done, record.started_at)
        for index in range(done, len(migration.statements)):
            self.lock.check()
            if item.record is None or index > done:
                self._refuse_existing(migration.label, migration.changes[index])
            self._when_granted(partial(_send, self.owner, migration.statements[index].text))
            recorder.advance(migration, index, index + 1, record.started_at)

    def _refuse_existing(self, label: str, change: Change) -> None:
        """IF NOT EXISTS must not hide a table that somebody made by hand with other columns."""
        if not change.creates:
            return
        found = self.owner.execute(
            _EXISTS[change.kind], [change.keyspace, change.name], idempotent=True
        )
        if found.one() is not None:
            raise SchemaError(
                f"{label}: {change.kind.lower()} {change.keyspace}.{change.name} exists already "
                "and no migration made it",
                hint="Compare it with the migration; a superuser drops it if it is not needed.",
            )

    def _when_granted(self, action: Callable[[], T]) -> T:
        """Repeat what was refused as long as a node may not have seen grants of this very run."""
        while True:
            try:
                return action()
            except PermissionDeniedError:
                if time.monotonic() >= self.granted_until:
                    raise
                time.sleep(0.2)


def _send(session: Session, cql: str) -> None:
    """Send a statement that may be sent twice, again when its outcome stays unknown.

    The driver waits until all nodes that are up have the same schema; going on without would let
    the next statement meet a node that does not know the table yet.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            agreed = session.execute(cql, idempotent=True, timeout=_DDL_TIMEOUT).schema_agreed
        except OutcomeUnknownError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(0.5 * attempt)
            continue
        if not agreed:
            raise SchemaError(
                "the nodes still disagree about the schema after a change",
                hint="Look with `nodetool describecluster`, then run `schema apply` again.",
            )
        return


def _wait_for_login(config: ClusterConfig) -> None:
    deadline = time.monotonic() + _LOGIN_SETTLES
    while True:
        probe = Session(config)
        try:
            probe.connect()
        except AuthenticationError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)
        else:
            return
        finally:
            probe.close()


def _lost_logins(roles: tuple[str, ...], installation: Installation) -> ConfigurationError:
    """Refuse to take a password away from whoever holds the right file."""
    return ConfigurationError(
        f"{', '.join(roles)}: the role exists, and its password file in {installation.secrets} is "
        "missing or does not log in",
        hint=(
            "Name the secrets folder the roles were made with. If it is lost, `schema apply "
            "--reset-passwords` sets new passwords; whoever uses the old ones is locked out until "
            "the new files reach them."
        ),
    )


def _silent(_: str) -> None:
    return
