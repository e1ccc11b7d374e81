from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from prefect_cassandra.ledger import cursors
from prefect_cassandra.ledger.blocks import Block, to_json
from support.stamps import NOON, TABLE, asking

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

BLOCKS = 2_000


class Row(dict[str, Any]):
    """A record of a block; counts how many of them are held at one time."""

    held: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def __init__(self, start: int, state: str | None) -> None:
        super().__init__(start=start, state=state)
        Row.held += 1
        Row.most = max(Row.most, Row.held)

    def __del__(self) -> None:
        Row.held -= 1


def test_a_cursor_holds_open_blocks_only_however_many_there_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newest = Block(TABLE, NOON + BLOCKS * 4, NOON, asking(chunks=1))
    unfinished = (NOON + 40, NOON + 400)

    def recorded(*_: Any) -> Iterator[Row]:
        for number in reversed(range(BLOCKS)):
            start = NOON + number * 4
            yield Row(start, None if start in unfinished else "DONE")

    def undoing_of(_session: Any, block: Block) -> Any:
        # The lowest of them will never be written again.
        return SimpleNamespace(state="DONE") if block.start == unfinished[0] else None

    clock = {"next": newest.end, "newest": to_json([newest])}
    session: Any = SimpleNamespace(execute=lambda *_, **__: SimpleNamespace(one=lambda: clock))
    monkeypatch.setattr(cursors, "recorded_blocks", recorded)
    monkeypatch.setattr(
        cursors,
        "record_at",
        lambda _session, table, start: SimpleNamespace(
            block=Block(table, start, None, asking(chunks=1))
        ),
    )
    monkeypatch.setattr(cursors, "undoing_of", undoing_of)
    found = cursors.settled(session, TABLE, 0)
    assert found.held_by is not None
    assert (found.held_by.start, found.upto) == (unfinished[1], unfinished[1] - 1)
    # The clock's newest block, not filed yet, is open as well, and lies above.
    assert Row.most <= 3
