"""The Prefect server for a test module that runs flows, and what Prefect leaves lying about."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Prefect drops its connection to the server when the loop of an asynchronous flow ends; when the
# garbage collector meets that socket is a matter of luck. For the module's `pytestmark`.
DROPPED_SOCKETS = pytest.mark.filterwarnings(
    "ignore:.*(socket|Transport):pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def prefect_server(prefect_api: object) -> Iterator[None]:  # noqa: ARG001 -- used by being there
    """The run's server; runs and blocks of the module go there."""
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
