"""`prefect-cassandra who`: who wrote a row, and what a run or a person wrote."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.connecting import Database
from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_AGO = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}

app = App(
    name="who",
    help="Who wrote a row; or what a run wrote, or the runs of a person.",
    help_epilogue="""
  who flights.by_origin_day origin=JFK day=2013-07-04 ...   who wrote this row
  who --run RUN                                            what a run wrote
  who --person NAME --since 7d                             what their runs wrote

Exit codes: 0 found, 1 there is no such row or nothing was written, 2 wrong input,
3 something is unreachable, 5 not permitted.
""",
)


@app.default
def who(  # noqa: PLR0913 -- one parameter an option
    table: Annotated[str | None, Parameter(help="keyspace.table")] = None,
    /,
    *key: Annotated[
        str, Parameter(help="COLUMN=VALUE for each column of the row's key, typed by the table.")
    ],
    run: Annotated[str | None, Parameter(help="Identifier of a flow run.")] = None,
    person: Annotated[
        str | None, Parameter(help="Who started runs, as Prefect names who created them.")
    ] = None,
    since: Annotated[
        str | None,
        Parameter(help="With --person: 30m, 24h, 7d or a time with its zone [default: 24h]."),
    ] = None,
    database: Database | None = None,
    output: Annotated[
        Literal["table", "json"], Parameter(help="For people, or for programs.")
    ] = "table",
) -> int:
    """Say for each column of a row when it was written, by which run, with what code, from what.

    The login needs to read the table and the ledger, as that of a flow. On the stack of this
    machine that is the keyspace's flow role, or the superuser.
    """
    from prefect_cassandra.cli.who_output import show_row, show_works
    from prefect_cassandra.driver.identifiers import dotted, qualified
    from prefect_cassandra.trail.written import written_by

    check(table, key, run=run, person=person, since=since)
    database = database or Database()
    if table is not None and not run and not person:
        from prefect_cassandra.settings import LedgerSettings
        from prefect_cassandra.trail.cells import typed_key
        from prefect_cassandra.trail.who import who_wrote

        session, keyspace = database.session(table, writes=True)
        names = qualified(table, keyspace)
        values = typed_key(session.table(*names), pairs(key))
        window = timedelta(days=LedgerSettings().undo_window)
        found = who_wrote(session, dotted(*names), values, window=window)
        show_row(found, output)
        return 0 if found.found else 1
    works = written_by(
        database.ledger_session(),
        run=run,
        person=person,
        since=None if since is None else time_of(since, datetime.now(UTC)),
        table=None if table is None else ".".join(qualified(table)),
    )
    show_works(works, output)
    return 0 if works else 1


def check(
    table: str | None,
    key: Sequence[str],
    *,
    run: str | None,
    person: str | None,
    since: str | None,
) -> None:
    """Check that the words of a command line ask one question.

    Raises:
        ConfigurationError: They ask none, or two.
    """
    asked = [name for name, value in (("--run", run), ("--person", person)) if value]
    if len(asked) > 1:
        raise ConfigurationError("--run and --person are two questions.", hint="Leave one out.")
    if since is not None and not person:
        raise ConfigurationError("--since goes with --person.", hint="Leave it out.")
    if asked and key:
        raise ConfigurationError(
            f"{asked[0]} and the key of a row are two questions.", hint="Leave one out."
        )
    if not asked and table is None:
        raise ConfigurationError(
            "Neither a row nor a run nor a person is named.",
            hint="prefect-cassandra who KEYSPACE.TABLE COLUMN=VALUE ...",
        )


def pairs(words: Sequence[str]) -> dict[str, str]:
    """Return COLUMN=VALUE words by column.

    Raises:
        ConfigurationError: One has no equals sign, or a column comes twice.
    """
    found: dict[str, str] = {}
    for one in words:
        name, equals, value = one.partition("=")
        if not equals:
            raise ConfigurationError(f"{one!r} has no '='.", hint="Write COLUMN=VALUE.")
        if name in found:
            raise ConfigurationError(f"{name} is given twice.", hint="Leave one out.")
        found[name] = value
    return found


def time_of(text: str, now: datetime) -> datetime:
    """Return the time that `7d`, `24h`, `30m` ago was, or the one that a text names.

    Raises:
        ConfigurationError: It is neither, or has no zone.
    """
    if match := _AGO.fullmatch(text.strip()):
        unit = _UNITS[match[2]]
        try:
            return now - int(match[1]) * unit
        except OverflowError:
            raise ConfigurationError(f"{text!r} ago was before all time.") from None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigurationError(
            f"{text!r} is no time with a zone, and no time ago.",
            hint="As in 2013-07-04T00:00:00Z, 30m, 24h or 7d.",
        )
    return found
