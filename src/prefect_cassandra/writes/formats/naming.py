"""Which column of the table each column of a file is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.driver.cqltype import parse
from prefect_cassandra.errors import ConfigurationError, DataError
from prefect_cassandra.writes.rejects import ADDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.files import Files


def targets(
    names: Sequence[str], url: str, files: Files, *, complete: bool = True
) -> dict[str, str]:
    """Return the table's column by the file's column, for those that are wanted.

    A file of rejected rows can be loaded again once it is mended: what was added is left out.

    Args:
        names: Columns of the file.
        url: What to call it.
        files: What to rename and to skip.
        complete: Whether these are all its columns; JSON may name more further on.

    Raises:
        ConfigurationError: A column to rename or to skip is not in the file.
        DataError: Two columns of the file are for one of the table.
    """
    for what, given in (("rename", files.rename), ("skip", files.skip)):
        absent = [name for name in given if name not in names]
        if absent and complete:
            raise ConfigurationError(
                f"{url} has no column {absent[0]!r} to {what}",
                hint=f"Its columns are {', '.join(names)}.",
            )
    left_out = {*files.skip, *(ADDED if set(ADDED[:-1]) <= set(names) else ())}
    found = {name: files.rename.get(name, name) for name in names if name not in left_out}
    # The file's own names can be doubled as well, so they are counted where they are a list.
    wanted = [files.rename.get(name, name) for name in names if name not in left_out]
    doubled = sorted({name for name in wanted if wanted.count(name) > 1})
    if doubled:
        raise DataError(
            f"{url} has two columns for {', '.join(doubled)}",
            hint="Rename or skip one of them; which of the two to write cannot be guessed.",
        )
    return found


def types(columns: Sequence[str], table: TableInfo) -> dict[str, CqlType]:
    """Return the types of those columns that the table has; the others are refused by the plan."""
    found = {name: table.column(name) for name in columns}
    return {
        name: parse(column.cql_type, table.user_types)
        for name, column in found.items()
        if column is not None
    }
