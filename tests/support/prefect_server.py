"""A Prefect server of a test module's own: Prefect's harness, and what it leaves lying about."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest
from prefect.testing.utilities import prefect_test_harness

if TYPE_CHECKING:
    from collections.abc import Iterator

# Prefect drops its connection to the server when the loop of an asynchronous flow ends; when the
# garbage collector meets that socket is a matter of luck. For the module's `pytestmark`.
DROPPED_SOCKETS = pytest.mark.filterwarnings(
    "ignore:.*socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    """A real server in a process of its own; runs and blocks of the module go there."""
    with prefect_test_harness(server_startup_timeout=120):
        yield
    _collect_dropped_sockets()


def _collect_dropped_sockets() -> None:
    """Collect them here, so that they do not fail whatever test comes next."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _unraisable: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook
