from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from prefect_cassandra.errors import StateError, StatementError
from prefect_cassandra.state.log_query import LogLine
from prefect_cassandra.state.logs import CassandraLogs


class WithoutTables:
    """A session of a cluster that no schema was applied to."""

    async def aprepare(self, _cql: str) -> None:
        raise StatementError("table run_logs does not exist")


async def test_lines_wait_for_tables_that_are_not_there_yet() -> None:
    session: Any = WithoutTables()
    logs = CassandraLogs(session, timedelta(days=1))
    with pytest.raises(StateError, match="run_logs") as caught:
        await logs.write([LogLine(UUID(int=1), 1, 20, "", "x")])
    assert not isinstance(caught.value, StatementError), "no line was refused"
