from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from prefect_cassandra.local import jndi

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.local.jvm import Runtime


def test_jndi_shim_is_not_needed_where_the_runtime_has_the_module(
    runtime_with: Callable[[str], Runtime],
) -> None:
    assert jndi.jndi_shim(runtime_with("exit 1")) is None


def test_jndi_source_is_shipped_under_the_name_jndi_looks_for() -> None:
    source = resources.files(jndi).joinpath(jndi.SOURCE).read_text("utf-8")
    assert f"package {jndi.PACKAGES}.rmi;" in source
    assert "class rmiURLContextFactory implements ObjectFactory" in source
