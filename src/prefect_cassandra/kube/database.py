"""Waits until the Prefect server's database has the tables that this version of Prefect needs.

The migrations are a Job of their own. A server that started before them would fail again and again;
one that ran them itself would do so in every replica at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import sqlalchemy
from alembic.script import ScriptDirectory
from prefect.server.database import provide_database_interface
from prefect.server.database.alembic_commands import alembic_config

from prefect_cassandra.kube.waiting import NotYetError, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

_READ = "SELECT version_num FROM alembic_version"


def wanted_revisions() -> set[str]:
    """Return the newest revisions that the installed Prefect brings for its kind of database."""
    script = ScriptDirectory.from_config(alembic_config())
    # Each kind of database has its own line of migrations, and no file says which is meant.
    script.version_locations = [str(provide_database_interface().orm.versions_dir)]
    return set(script.get_heads())


def judge(found: set[str], wanted: set[str]) -> str | None:
    """Say what is wrong with the revisions of a database, None when nothing is."""
    if found == wanted:
        return None
    if not found:
        return f"it has no revision yet, wanted is {_shown(wanted)}"
    return f"it is at revision {_shown(found)}, wanted is {_shown(wanted)}"


async def found_revisions() -> set[str]:
    """Ask the database that the settings name for its revisions.

    Raises:
        NotYetError: It does not answer, or has no tables.
    """
    try:
        engine = await provide_database_interface().engine()
        async with engine.connect() as connection:
            rows = await connection.execute(sqlalchemy.text(_READ))
            return {str(row[0]) for row in rows}
    except sqlalchemy.exc.ProgrammingError as error:
        raise NotYetError("it has no tables yet") from error
    except sqlalchemy.exc.OperationalError as error:
        if "no such table" in str(error.orig):
            raise NotYetError("it has no tables yet") from error
        raise NotYetError(_said(error)) from error
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise NotYetError(_said(error)) from error


async def wait_until_migrated(timeout: float, tell: Callable[[str], None]) -> set[str]:  # noqa: ASYNC109 -- ours
    """Return when the database is at the head; returns its revisions.

    Raises:
        PlatformTimeoutError: It was not in time; says what it is instead.
    """
    wanted = wanted_revisions()

    async def attempt() -> set[str]:
        found = await found_revisions()
        problem = judge(found, wanted)
        if problem is not None:
            raise NotYetError(problem)
        return found

    hint = (
        "The Job whose name contains `migrate` brings it there: read its log. A database newer "
        "than this image needs the newer image."
    )
    return await eventually(attempt, "the server's database", tell, timeout=timeout, hint=hint)


def run(timeout: float, tell: Callable[[str], None]) -> None:
    """Wait, and say which revision the database has."""
    found = asyncio.run(wait_until_migrated(timeout, tell))
    tell(f"the server's database is at revision {_shown(found)}")


def _shown(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions))


def _said(error: Exception) -> str:
    # Only the first line: the rest quotes the statement, and a DSN may follow.
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no details'}"
