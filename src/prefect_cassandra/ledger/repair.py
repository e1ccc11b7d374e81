"""What to do about undoings that nobody has finished. Decisions only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.ledger.chunks import LoadBlock
    from prefect_cassandra.ledger.undoing import Content, Owed

RunFate = Literal["alive", "dead", "completed", "unknown"]
"""What became of a flow run, as Prefect tells: dead is failed, crashed or cancelled."""


class Mending(Enum):
    """What to do about something owed."""

    UNDO = "undo it"
    FORGET = "forget it"
    LEAVE = "leave it"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision about one thing owed.

    Attributes:
        owed: What it is about.
        mending: What to do.
        why: For people.
    """

    owed: Owed
    mending: Mending
    why: str


def decide(
    owed: Owed, blocks: Sequence[LoadBlock], fate: RunFate, others: Sequence[Owed] = ()
) -> Verdict:
    """Decide what to do about something owed.

    Args:
        owed: What nobody has finished.
        blocks: Every block of its load.
        fate: What became of the run whose load it is; only a transaction depends on it.
        others: What else is owed.
    """
    content = owed.content
    if not any(one.generation == content.generation for one in blocks):
        return Verdict(owed, Mending.FORGET, "it never had a stamp")
    if owed.reason == "UNDO":
        return Verdict(owed, Mending.UNDO, "its undoing was begun and not finished")
    return _of_replaced(owed, blocks, fate, others)


def _of_replaced(
    owed: Owed, blocks: Sequence[LoadBlock], fate: RunFate, others: Sequence[Owed]
) -> Verdict:
    """Decide about content whose place newer content may have taken."""
    content = owed.content
    # What was undone itself took nobody's place.
    newer = [one for one in blocks if one.generation > content.generation]
    newer = [one for one in newer if one.state != "UNDONE"]
    newest = max((one.generation for one in newer), default=0)
    unsettled = any(_of_generation(one, content, newest) for one in others)
    done = any(one.generation == newest and one.state == "DONE" for one in newer)
    if done and not unsettled:
        return Verdict(owed, Mending.UNDO, "newer content took its place")
    if owed.reason == "ROLLBACK":
        return _of_transaction(owed, fate)
    if not newer:
        return Verdict(owed, Mending.FORGET, "nothing took its place")
    if unsettled:
        return Verdict(owed, Mending.LEAVE, "the newer content may have to be undone itself")
    return Verdict(owed, Mending.LEAVE, "the newer content is not written whole yet")


def _of_generation(owed: Owed, content: Content, generation: int) -> bool:
    return owed.reason != "REPLACED" and owed.content == replace(content, generation=generation)


def _of_transaction(owed: Owed, fate: RunFate) -> Verdict:
    if fate == "dead":
        return Verdict(owed, Mending.UNDO, "its transaction ended with the run, uncommitted")
    why = {
        "alive": "its run is under way and may still commit",
        "completed": "its run completed; undo the run if that was a mistake",
        "unknown": "the Prefect server does not know its run; name it with --dead if it has ended",
    }
    return Verdict(owed, Mending.LEAVE, why[fate])
