"""The command `unload`, and back again with `load`."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session

    from .conftest import RunningNode

PROGRAM = Path(sys.executable).with_name("prefect-cassandra")
SECONDS = 60
COLUMNS = "p text, n int, d decimal, t timestamp, m map<text, int>, b blob, PRIMARY KEY (p, n)"


@pytest.fixture
def tables(superuser: Session, keyspace: str) -> tuple[str, str]:
    """A table with rows, and an empty one like it."""
    first, second = (f"{keyspace}.t{uuid.uuid4().hex[:8]}" for _ in range(2))
    for name in (first, second):
        superuser.execute(f"CREATE TABLE {name} ({COLUMNS})")
    insert = f"INSERT INTO {first} (p, n, d, t, m, b) VALUES "
    superuser.execute(insert + "('x', 1, 1.10, '2013-01-01T05:00:00.001Z', {'a': 1}, 0x00ff)")
    superuser.execute(insert + "('two\nlines', 2, null, null, null, 0x)")
    superuser.execute(f"INSERT INTO {first} (p, n) VALUES ('NA', 3)")
    return first, second


def run(node: RunningNode, *words: str) -> subprocess.CompletedProcess[str]:
    config = node.config()
    assert config.login is not None
    where = ["--port", str(config.port), "--login-folder", str(config.login.folder)]
    return subprocess.run(
        [PROGRAM, *words, "--contact-points", *config.contact_points, *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_what_was_unloaded_can_be_loaded(
    node: RunningNode, superuser: Session, tables: tuple[str, str], tmp_path: Path, form: str
) -> None:
    first, second = tables
    folder = str(tmp_path / "out")
    done = run(node, "unload", first, folder, "--format", form, "--output", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 3
    again = run(node, "unload", first, folder, "--format", form)
    assert again.returncode == 2
    assert "holds an unload" in again.stderr
    loaded = run(node, "load", folder, second)
    assert loaded.returncode == 0, loaded.stderr
    assert "3 rows" in loaded.stdout
    before, after = (
        sorted(superuser.execute(f"SELECT * FROM {name}"), key=lambda row: row["n"])
        for name in (first, second)
    )
    assert after == before
