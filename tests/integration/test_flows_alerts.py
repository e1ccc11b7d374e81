"""The failure hook on a real server and, for a killed process, a real worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.blocks.system import Secret
from prefect.deployments import run_deployment
from support.http_server import Answer, LoopbackServer
from support.waiting import wait_until

from flows.alerts.failing import WEBHOOK_BLOCK, failing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("deployed")


@pytest.fixture
def webhook() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda _: Answer(body={})) as server:
        yield server
