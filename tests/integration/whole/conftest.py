"""The whole stack, once, with the example flows deployed on it: what `make demo` runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.driver.sharing import close_sessions
from prefect_cassandra.local.plan import StackConfig
from prefect_cassandra.local.project import deploy
from prefect_cassandra.local.stack import Stack
from support.ports import free_ports
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack with keyspaces, roles, blocks and deployments of `flows/`."""
    cql, storage, jmx, server = free_ports(4)
    config = StackConfig.from_settings(
        data=tmp_path_factory.mktemp("stack"),
        cql_port=cql,
        storage_port=storage,
        jmx_port=jmx,
        server_port=server,
        heap="256M",
    )
    with Stack(config) as stack:
        deploy(stack, ROOT / "flows", print)
        yield stack
        close_sessions()
