"""Locks in memory whose answers can be lost or late, on a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prefect_cassandra.state.locks import SECOND, TICKET_LASTS, LockState, Ticket

NOON = 1_800_000_000_000_000


@dataclass
class MemoryLocks:
    """A `LockStore`; keeps every holder there was, in order."""

    time: int = NOON
    locks: dict[str, LockState] = field(default_factory=dict)
    tickets: dict[tuple[str, Ticket], int] = field(default_factory=dict)
    holders: list[tuple[str | None, int | None]] = field(default_factory=list)

    def now(self) -> int:
        return self.time

    def pass_by(self, seconds: float) -> None:
        self.time += round(seconds * SECOND)

    def read(self, key: str) -> LockState:
        return self.locks.get(key, LockState())

    def take(self, key: str, before: LockState, after: LockState) -> bool:
        found = self.read(key)
        if (found.fence, found.until) != (before.fence, before.until):
            return False
        self.locks[key] = after
        self.holders.append((after.holder, after.fence))
        return True

    def renew(self, key: str, held: LockState) -> bool:
        return self._replace(key, held, held)

    def release(self, key: str, held: LockState) -> bool:
        return self._replace(key, held, replace(held, holder=None, until=0))

    def _replace(self, key: str, held: LockState, after: LockState) -> bool:
        found = self.read(key)
        if (found.fence, found.holder) != (held.fence, held.holder):
            return False
        self.locks[key] = after
        return True

    def queue(self, key: str) -> list[Ticket]:
        return sorted(
            ticket
            for (about, ticket), until in self.tickets.items()
            if about == key and until > self.time
        )

    def enqueue(self, key: str, ticket: Ticket) -> None:
        self.tickets[key, ticket] = self.time + TICKET_LASTS * SECOND

    def leave(self, key: str, ticket: Ticket) -> None:
        self.tickets.pop((key, ticket), None)
