"""Every error this package raises on purpose.

```
PrefectCassandraError
├── ConfigurationError        a setting, a file or an argument is wrong; nothing was done
├── UnreachableError          no node or server answered; nothing was done
├── AuthenticationError       the user name or password was refused
├── PermissionDeniedError     the role may not do this
├── StatementError            the server refused the statement itself
├── NotAppliedError           the server did not carry it out: too few replicas, overloaded
├── OutcomeUnknownError       a write that may or may not have been applied: never "failed"
├── DataError                 a value does not fit its column; names row and column
├── SchemaError               a migration cannot be applied
│   ├── MigrationChangedError     an applied migration no longer has the checksum it had
│   └── SchemaLockedError         another runner holds the schema lock
├── LedgerError               the ledger of a release is not made, or cannot be reached
│   ├── StampClockError           a table's stamp clock is far ahead of the time
│   ├── ContentChangedError       a load was run before with other content
│   ├── SupersededError           newer content of the same load was taken up elsewhere
│   ├── NoStampsError             the cluster keeps no write stamps, or not for this role
│   ├── UndoneError               the load was undone while this attempt was under way
│   └── CannotUndoError           what a run wrote cannot be told from what others wrote
├── VersionError              a deployment has no such version, or it cannot be put in use again
├── LocalStackError           the local stack cannot start or run
│   ├── DownloadError             a jar is missing, cut or not the one in the lock
│   ├── PortInUseError            something else listens where a node should
│   ├── DataFolderError           the data folder is in use, damaged or of another version
│   └── ResourceError             too little memory, disk or no usable Java
├── DeploymentError           Prefect refused the blocks or deployments of a folder of flows
├── PartFailedError           one part of a spread load or unload failed as often as it may
└── PlatformError             something on Kubernetes is missing, failed or does not answer
    ├── ToolError                 docker, kind, kubectl or helm failed; quotes what it said
    └── PlatformTimeoutError      something on Kubernetes was not ready in time
```

`code` is stable and searchable, `hint` says what to do next, `exit_code` is what the command line
ends with: 1 a negative finding, 2 wrong input or configuration, 3 something is unreachable,
4 an outcome or a wait ran out of time, 5 not permitted.
"""

from __future__ import annotations

from typing import ClassVar


class PrefectCassandraError(Exception):
    """Base of every error of this package.

    Args:
        message: What failed and on which object.
        hint: What to do next; a class may have a default.
    """

    code: ClassVar[str] = "PC000"
    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint

    def __str__(self) -> str:
        """The code, the message and, on a line of its own, the hint."""
        text = f"[{self.code}] {self.message}"
        return f"{text}\n  -> {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        # Prefect pickles exceptions with a failed state; keyword-only arguments need this.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(cls: type[PrefectCassandraError], message: str, hint: str) -> PrefectCassandraError:
    return cls(message, hint=hint)


class ConfigurationError(PrefectCassandraError):
    """A setting, a file or an argument is wrong; nothing was done."""

    code = "PC100"
    exit_code = 2


class UnreachableError(PrefectCassandraError):
    """No contact point or server answered; nothing was done."""

    code = "PC200"
    exit_code = 3


class AuthenticationError(PrefectCassandraError):
    """The user name or password was refused."""

    code = "PC210"
    exit_code = 5


class PermissionDeniedError(PrefectCassandraError):
    """The role in use may not do this."""

    code = "PC220"
    exit_code = 5


class StatementError(PrefectCassandraError):
    """The server refused the statement: syntax, an unknown table, a guardrail."""

    code = "PC230"
    exit_code = 2


class NotAppliedError(PrefectCassandraError):
    """The server says the request was not carried out, so it is safe to send it again."""

    code = "PC240"
    exit_code = 3


class OutcomeUnknownError(PrefectCassandraError):
    """A write may or may not have been applied.

    Raised for a write timeout, an unknown compare-and-set outcome (protocol error 0x1700), a client
    timeout and a connection lost after the request went out. It is not a failure: a replica may
    hold the write already or may receive it later.
    """

    code = "PC250"
    exit_code = 4
    default_hint = (
        "The write may have been applied. Repeat it if it is idempotent; after a conditional write "
        "read the row at SERIAL consistency first."
    )


class DataError(PrefectCassandraError):
    """A value does not fit its column; the message names row and column."""

    code = "PC300"
    exit_code = 2


class SchemaError(PrefectCassandraError):
    """A migration cannot be applied as it stands."""

    code = "PC400"
    exit_code = 2


class MigrationChangedError(SchemaError):
    """An applied migration no longer has the checksum it had when it was applied."""

    code = "PC410"


class SchemaLockedError(SchemaError):
    """Another runner holds the schema lock."""

    code = "PC420"
    exit_code = 4


class LedgerError(PrefectCassandraError):
    """The ledger of a release is not made, or cannot be reached or used."""

    code = "PC450"
    exit_code = 3


class StampClockError(LedgerError):
    """A table's stamp clock is far ahead of the time; nothing was written."""

    code = "PC451"


class ContentChangedError(LedgerError):
    """A load with this key was run before with other content; names chunk and both digests."""

    code = "PC452"
    exit_code = 2
    default_hint = (
        "Nothing of the chunk or of those after it was written. Give other content another key, or "
        "say replace=True: then it is written whole, at newer stamps."
    )


class SupersededError(LedgerError):
    """Newer content of the same load was taken up elsewhere, so this attempt stopped."""

    code = "PC453"
    exit_code = 1
    default_hint = "Nothing is lost: what this attempt wrote loses to the newer content."


class NoStampsError(LedgerError):
    """The cluster keeps no write stamps, or not for the role in use; nothing was written."""

    code = "PC454"
    exit_code = 2


class UndoneError(LedgerError):
    """The load was undone while this attempt was under way, so it stopped."""

    code = "PC455"
    exit_code = 1
    default_hint = (
        "Nothing of this attempt stays. Run the load again to write its rows anew, at new stamps."
    )


class CannotUndoError(LedgerError):
    """What a run wrote cannot be undone in this table; nothing was done."""

    code = "PC456"
    exit_code = 2


class VersionError(PrefectCassandraError):
    """A deployment has no such version, or that version cannot be put in use again."""

    code = "PC460"
    exit_code = 2
    default_hint = "`prefect-cassandra flows history DEPLOYMENT` lists the versions."


class LocalStackError(PrefectCassandraError):
    """The local stack cannot start or run."""

    code = "PC500"
    exit_code = 3


class DownloadError(LocalStackError):
    """A jar is missing, cut or not the one in the lock; nothing half-written is left."""

    code = "PC510"


class PortInUseError(LocalStackError):
    """Something else already listens on an address the local stack needs."""

    code = "PC520"


class DataFolderError(LocalStackError):
    """The data folder is in use, damaged or was written by another version."""

    code = "PC530"


class ResourceError(LocalStackError):
    """The machine has too little memory or disk, or no usable Java."""

    code = "PC540"


class DeploymentError(PrefectCassandraError):
    """Prefect refused the blocks or deployments of a folder of flows; quotes what it said."""

    code = "PC550"
    exit_code = 3
    default_hint = "Mend what it names and deploy again; what was done is kept."


class PartFailedError(PrefectCassandraError):
    """A part of work that is spread over flow runs failed as often as it may; names the run."""

    code = "PC560"
    default_hint = "Run the flow again: parts that are done are not repeated by its own retries."


class PlatformError(PrefectCassandraError):
    """Something on Kubernetes is missing, failed or does not answer."""

    code = "PC600"
    exit_code = 3


class ToolError(PlatformError):
    """A command of docker, kind, kubectl or helm failed; the message quotes what it said."""

    code = "PC610"


class PlatformTimeoutError(PlatformError):
    """Something on Kubernetes was not ready in time."""

    code = "PC620"
    exit_code = 4
