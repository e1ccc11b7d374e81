"""Claims: the one conditional write that is safe to repeat.

`INSERT ... IF NOT EXISTS`, or `UPDATE ... IF` the row is as expected. What counts is how the row
is afterwards and not what the server said of one try: a row that holds the wanted values is won, so
an answer that was lost, or a retry in a new process, ends as the first try did. The values have to
tell claimants apart, by a run's identifier for instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.identifiers import dotted, qualified, quote
from prefect_cassandra.driver.types import UNSET
from prefect_cassandra.errors import DataError, NoStampsError, OutcomeUnknownError
from prefect_cassandra.ledger.claims import reserve_for_claims
from prefect_cassandra.ledger.opening import keeps_stamps, require_promise
from prefect_cassandra.ledger.promises import Promise
from prefect_cassandra.writes.report import Claim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo

Values = Mapping[str, Any]


def claim_row(  # noqa: PLR0913 -- where, which row, what, and on which condition
    session: Session,
    table: str,
    key: Values,
    values: Values,
    *,
    expected: Values | None = None,
    keyspace: str | None = None,
) -> Claim:
    """Write a row on condition, and say whether it holds the wanted values.

    Args:
        session: Where to.
        table: `keyspace.table`, or a table of `keyspace`; it is for claims only, from the first
            one on: loads and stamped statements are refused there.
        key: The whole primary key.
        values: What the row is to hold; something in it must tell claimants apart.
        expected: What the row must hold for that; without it the row must not exist.
        keyspace: Keyspace of a table named without one.

    Raises:
        ClaimedTableError: Stamped writes use the table.
        DataError: A column or a value does not fit, or the key is not whole; nothing was written.
        StatementError: There is no such table.
        NoStampsError: The cluster is of a kind that cannot keep claims; nothing was written.
        OutcomeUnknownError: The row could not be read after an answer was lost.
    """
    found = session.table(*qualified(table, keyspace))
    work = _Claiming(session, found, dict(key), dict(values), dict(expected or {}))
    work.check()
    require_promise(session, Promise.CLAIMS)
    if keeps_stamps(session):
        # A role that may not use the ledger writes no stamps either, so nothing can meet here.
        with suppress(NoStampsError):
            reserve_for_claims(session, f"{found.keyspace}.{found.name}")
    return work.run()


async def aclaim_row(  # noqa: PLR0913 -- the parameters of claim_row()
    session: Session,
    table: str,
    key: Values,
    values: Values,
    *,
    expected: Values | None = None,
    keyspace: str | None = None,
) -> Claim:
    """Do what `claim_row` does in a thread of its own."""
    return await asyncio.to_thread(
        claim_row, session, table, key, values, expected=expected, keyspace=keyspace
    )


@dataclass(slots=True)
class _Claiming:
    """One claim with its statements."""

    session: Session
    table: TableInfo
    key: dict[str, Any]
    values: dict[str, Any]
    expected: dict[str, Any]

    def check(self) -> None:
        """Refuse what cannot be a claim.

        Raises:
            DataError: So it is.
        """
        where = f"{self.table.keyspace}.{self.table.name}"
        if set(self.key) != set(self.table.primary_key):
            raise DataError(
                f"a claim needs the whole primary key of {where}: "
                f"{', '.join(self.table.primary_key)}; given: {', '.join(self.key) or 'nothing'}",
            )
        if not self.values:
            raise DataError(
                f"a claim in {where} without values cannot be told from somebody else's",
                hint="Give a column that names the claimant, such as the run's identifier.",
            )
        others = {kind.name for kind in self.table.user_types} | {"counter"}
        for name, value in (*self.values.items(), *self.expected.items()):
            column = self.table.column(name)
            if column is None or name in self.key:
                raise DataError(f"{where} has no column {name!r} that could be claimed")
            if "<" in column.cql_type or column.cql_type in others or value is UNSET:
                raise DataError(
                    f"{where}, column {name}: a value of {column.cql_type} cannot be claimed",
                    hint="Use columns of plain types, without collections, and give each a value.",
                )

    def run(self) -> Claim:
        """Send the conditional write; unless it is known to be applied, the row decides."""
        prepared = self.session.prepare(self._cql())
        given = [self.values, self.key, self.expected] if self.expected else [self.key, self.values]
        checked = prepared.check([value for part in given for value in part.values()])
        request = self.session.single(
            prepared, checked, idempotent=False, serial_consistency="SERIAL"
        )
        try:
            page = self.session.run(request)
            applied = bool(page.rows and page.rows[0]["[applied]"])
        except OutcomeUnknownError:
            # A read at SERIAL ends whatever round is still under way, so what it tells is final.
            applied = False
        row = self._row()
        return Claim(applied or self._holds(prepared, checked, row), row)

    def _cql(self) -> str:
        where = dotted(self.table.keyspace, self.table.name)
        if not self.expected:
            names = [*self.key, *self.values]
            columns, markers = ", ".join(map(quote, names)), ", ".join("?" * len(names))
            return f"INSERT INTO {where} ({columns}) VALUES ({markers}) IF NOT EXISTS"  # noqa: S608 -- quoted
        assigned, condition = _equal(self.values, ", "), _equal(self.expected, " AND ")
        return f"UPDATE {where} SET {assigned} WHERE {_equal(self.key, ' AND ')} IF {condition}"  # noqa: S608 -- quoted

    def _row(self) -> dict[str, Any] | None:
        columns = ", ".join(map(quote, dict.fromkeys([*self.values, *self.expected])))
        where = dotted(self.table.keyspace, self.table.name)
        cql = f"SELECT {columns} FROM {where} WHERE {_equal(self.key, ' AND ')}"  # noqa: S608 -- quoted
        return self.session.execute(cql, list(self.key.values()), consistency="SERIAL").one()

    def _holds(
        self, prepared: Prepared, checked: Sequence[Any], row: dict[str, Any] | None
    ) -> bool:
        """Whether a row has the wanted values, byte for byte."""
        if row is None:
            return False
        first = 0 if self.expected else len(self.key)
        wanted = prepared.encode(checked)[first : first + len(self.values)]
        parts = prepared.checks[first:], prepared.serializers[first:], self.values
        version = prepared.statement.protocol_version
        found = [
            None if row[name] is None else serialize(check(row[name], name), version)
            for check, serialize, name in zip(*parts, strict=False)
        ]
        return found == wanted


def _equal(names: Values, between: str) -> str:
    return between.join(f"{quote(name)} = ?" for name in names)
