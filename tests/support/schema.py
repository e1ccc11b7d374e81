"""A small installation on a real node: a keyspace of its own, its files, and ways to look at it."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.schema import Installation, load_keyspaces
from prefect_cassandra.schema.records import read_records

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.schema.migrations import Record

TABLE = "CREATE TABLE IF NOT EXISTS {keyspace}.{table} (k int PRIMARY KEY, v text);\n"


@dataclass(frozen=True)
class Ground:
    """One application keyspace that no other test uses.

    `secrets` is the node's own folder: the orchestration roles are shared by all tests. `copies` is
    how many nodes keep each row.
    """

    config: ClusterConfig
    superuser: Session
    folder: Path
    secrets: Path
    keyspace: str
    copies: int = 1

    @classmethod
    def make(
        cls, config: ClusterConfig, superuser: Session, folder: Path, copies: int = 1
    ) -> Ground:
        assert config.login is not None
        assert config.login.folder is not None
        secrets, keyspace = config.login.folder.parent, f"schema_{uuid.uuid4().hex[:10]}"
        made = cls(config, superuser, folder, secrets, keyspace, copies)
        (folder / "migrations").mkdir()
        made.write_file()
        return made

    def write_file(self, **application: Any) -> None:
        row = self.superuser.execute("SELECT data_center FROM system.local").one()
        assert row is not None
        content = {
            "environments": {"test": {"replication": {row["data_center"]: self.copies}}},
            "keyspaces": {self.keyspace: {"migrations": "migrations", **application}},
        }
        self.file.write_text(yaml.safe_dump(content))

    @property
    def file(self) -> Path:
        return self.folder / "keyspaces.yaml"

    @property
    def installation(self) -> Installation:
        return Installation(load_keyspaces(self.file), "test", self.secrets)

    def with_secrets(self, secrets: Path) -> Installation:
        return replace(self.installation, secrets=secrets)

    def say(self, cql: str) -> str:
        """Return `cql` about this keyspace, which it calls `{keyspace}`."""
        return cql.replace("{keyspace}", self.keyspace)

    def write(self, name: str, *tables: str, text: str = "") -> None:
        """Write a migration that makes `tables`, or says `text`."""
        for table in tables:
            text += TABLE.format(keyspace=self.keyspace, table=table)
        (self.folder / "migrations" / f"{name}.cql").write_text(text)

    def role(self, kind: str) -> ClusterConfig:
        """Return the connection of the keyspace's `flow` or `reader` role, or of a named one."""
        name = f"{self.keyspace}_{kind}" if kind in ("flow", "reader") else kind
        return replace(self.config, login=Login(folder=self.secrets / name))

    def records(self) -> dict[int, Record]:
        return read_records(self.superuser, self.keyspace)

    def tables(self) -> set[str]:
        rows = self.superuser.execute(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", [self.keyspace]
        )
        return {row["table_name"] for row in rows}

    def options(self) -> list[str]:
        """Return the command line's options for this installation."""
        (address,) = self.config.contact_points
        options = {
            "--file": self.file,
            "--environment": "test",
            "--contact-points": address,
            "--port": self.config.port,
            "--login-folder": self.secrets / "superuser",
            "--secrets": self.secrets,
        }
        return [str(word) for pair in options.items() for word in pair]

    def runner(self, *, lease: int = 30, pause: bool = False) -> list[str]:
        """Return the command of a process that applies this installation; see `schema_runner`."""
        about = {
            "contact_points": list(self.config.contact_points),
            "port": self.config.port,
            "secrets": str(self.secrets),
            "file": str(self.file),
            "lease": lease,
            "pause": pause,
        }
        return [sys.executable, "-m", "support.schema_runner", json.dumps(about)]
