"""Which tests run in one process: those that share a stack, and those that start nodes themselves.

`make test` runs two processes side by side (`pytest-xdist`). All tests on the shared stack stay in
one of them, so that there is one stack; tests with nodes of their own take the other, one after the
other, because they use the same ports and their order within a file matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

_OWN_NODES = ("test_local_cassandra.py", "test_local_stack.py", "test_ring_faults.py")


def room_of(nodeid: str) -> str:
    """Name what is kept in one process: all of `stack`, all of `nodes`, or a file of unit tests."""
    file = nodeid.partition("::")[0]
    if "integration/" not in file:
        return file
    return "nodes" if file.endswith(_OWN_NODES) else "stack"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first: the two rooms begin together and unit tests fill what is left."""
    order = {"nodes": 0, "stack": 1}
    items.sort(key=lambda item: order.get(room_of(item.nodeid), 2))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Hand out whole rooms; `--dist loadgroup` would, but its marks get lost with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 -- only here with xdist

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return room_of(nodeid)

    return Rooms(config, log)
