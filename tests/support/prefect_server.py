"""A Prefect server of a test module's own: Prefect's harness, with its database at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.testing.utilities import prefect_test_harness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    """A real server in a process of its own; runs and blocks of the module go there."""
    with prefect_test_harness(server_startup_timeout=120):
        yield
