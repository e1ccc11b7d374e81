"""What is found out about a row, and about a run: plain values, cheap to import."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from prefect_cassandra.trail.verdict import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who wrote a cell; of one that is not ours only proof and reason.

    Attributes:
        proof: How sure it is.
        why: The reason for that, half a sentence.
        kind: What wrote it: `LOAD`, or the kind of a statement.
        load_key: Which load.
        run: Identifier of the flow run whose attempt wrote the chunk.
        task: Identifier of the task run that began the load.
        attempt: Which attempt wrote the chunk, from 1.
        person: Who started the run.
        deployment: Identifier of the deployment.
        version: The deployment's version.
        image: Reference of the image the code ran in, by digest.
        commit: Commit of git the code is of.
        source: Where the rows came from.
        chunk: Number of the chunk, from 0.
        first_row: Where the chunk's first row is in the input, from 0.
        rows: Rows of the input in the chunk.
        block: First stamp of the block.
    """

    proof: Proof
    why: str
    kind: str = ""
    load_key: str = ""
    run: str = ""
    task: str = ""
    attempt: int | None = None
    person: str = ""
    deployment: str = ""
    version: str = ""
    image: str = ""
    commit: str = ""
    source: str = ""
    chunk: int | None = None
    first_row: int | None = None
    rows: int | None = None
    block: int | None = None


@dataclass(frozen=True, slots=True)
class CellTrail:
    """What one write left in a column.

    Attributes:
        column: The column.
        static: Whether it belongs to the partition.
        value: The column's value: all of it, also where this write is of some elements only. Of
            `decimal` and `varint` the digits as text.
        text: The value as a CSV cell has it.
        elements: Which elements of a collection, or fields of a type, this write wrote; empty where
            a column has one write time.
        stamp: Write time, microseconds since 1970; None for null, which has none.
        at: The same as a time, UTC; None where it is none.
        expires_in: Seconds it still lives; None when it stays.
        writer: Who wrote it; None for null.
    """

    column: str
    static: bool
    value: Any
    text: str | None
    elements: tuple[Any, ...]
    stamp: int | None
    at: datetime | None
    expires_in: int | None
    writer: Writer | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """A stamped statement that deleted the row, some of its cells, or what they are part of.

    Attributes:
        stamp: Its write time, microseconds since 1970; what was written later is not deleted.
        at: The same as a time, UTC.
        what: `PARTITION`, `RANGE` of it, which may or may not have had the row, `ROW` or `CELLS`.
        columns: The columns whose cells went; none when it was everything.
        statement: The statement.
        parameters: Its values, as JSON.
        writer: Who ran it.
    """

    stamp: int
    at: datetime
    what: str
    columns: tuple[str, ...]
    statement: str
    parameters: str
    writer: Writer


@dataclass(frozen=True, slots=True)
class RowTrail:
    """Who wrote a row.

    Attributes:
        table: `keyspace.table`.
        key: Its key as text.
        found: Whether the table has it.
        cells: What its columns hold and who wrote that, an entry for each write.
        note: What is to be known about it; mostly empty.
        deletions: What stamped statements deleted of it in the undo window, the newest first.
    """

    table: str
    key: dict[str, str | None]
    found: bool
    cells: tuple[CellTrail, ...]
    note: str = ""
    deletions: tuple[Deletion, ...] = ()

    def writers(self, column: str) -> list[Writer]:
        """Return who wrote a column, the newest first; nobody where it is null."""
        return [one.writer for one in self.cells if one.column == column and one.writer is not None]

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON knows; values of columns as text."""
        return {
            "table": self.table,
            "key": self.key,
            "found": self.found,
            "note": self.note,
            "cells": [_plain(one) for one in self.cells],
            "deletions": [asdict(one) | {"at": one.at.isoformat()} for one in self.deletions],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one load or statement wrote, in one block of its table.

    Attributes:
        table: `keyspace.table`.
        kind: `LOAD`, or the kind of a statement.
        load_key: Which load.
        generation: Which of the load's contents, from 1.
        state: `DONE`, `REPLACED` and so on, as the ledger has it; `OPEN` while it is under way, or
            was left half done.
        at: When the block was taken, UTC.
        chunks: Chunks that were sent, at least in part.
        rows: Rows of the input in them.
        block: First stamp of the block.
        run: Identifier of the flow run.
        task: Identifier of the task run.
        attempt: The attempt that took the block.
        person: Who started the run.
        deployment: Identifier of the deployment.
        version: The deployment's version.
        image: Reference of the image the code ran in.
        commit: Commit of git the code is of.
        source: Where the rows came from.
    """

    table: str
    kind: str
    load_key: str
    generation: int
    state: str
    at: datetime
    chunks: int
    rows: int
    block: int
    run: str
    task: str
    attempt: int
    person: str
    deployment: str
    version: str
    image: str
    commit: str
    source: str

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON knows."""
        return asdict(self) | {"at": self.at.isoformat()}


def _plain(cell: CellTrail) -> dict[str, Any]:
    found = asdict(cell) | {"value": cell.text, "at": cell.at and cell.at.isoformat()}
    del found["text"]
    return found
