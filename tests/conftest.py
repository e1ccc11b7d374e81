"""Which tests run in one process: those that share a stack, and those that start nodes themselves.

`make test` runs three processes side by side (`pytest-xdist`): more than there are cores on a small
machine, because many tests wait for a lease, a crash or a node. Each room below stays in one of
them. Tests with nodes of their own come one after the other, because they use the same ports and
their order within a file matters; all others share a stack, one for each of three rooms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# No outcome may hang on how busy the machine is.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

_ROOMS = {
    "nodes": ("test_local_cassandra", "test_local_stack", "test_ring_faults"),
    "data": (
        "test_blocks_cluster",
        "test_driver_",
        "test_load_",
        "test_pages",
        "test_scan",
        "test_schema_",
        "test_unload",
        "test_version_store",
    ),
    "ledger": (
        "test_chunks",
        "test_ledger_",
        "test_stamps",
        "test_statements",
        "test_trail",
        "test_transactions",
        "test_undo",
    ),
}
_OTHERS = "prefect"


def room_of(nodeid: str) -> str:
    """Name what is kept in one process: a room of integration tests, or a file of unit tests."""
    folder, _, name = nodeid.partition("::")[0].rpartition("/")
    if "integration" not in folder:
        return f"{folder}/{name}"
    found = (room for room, files in _ROOMS.items() if name.startswith(files))
    return next(found, _OTHERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first: the rooms begin together and unit tests fill what is left."""
    order = [_OTHERS, *_ROOMS]
    items.sort(key=lambda item: (*order, room_of(item.nodeid)).index(room_of(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Hand out whole rooms; `--dist loadgroup` would, but its marks get lost with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 -- only here with xdist

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return room_of(nodeid)

    return Rooms(config, log)
