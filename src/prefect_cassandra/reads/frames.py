"""A scan as what its reader works with: a table, a frame, or the batches themselves."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from prefect_cassandra.reads.scan import Scan

_FORMS = ("table", "batches", "pandas", "polars")
_PACKAGES = ("pandas", "polars")


def require(form: str) -> None:
    """Check that a form is known and its package there, before anything is read for it.

    Raises:
        ConfigurationError: It is not.
    """
    if form not in _FORMS:
        raise ConfigurationError(
            f"as_={form!r} is no form to read a table in.", hint=f"One of {', '.join(_FORMS)}."
        )
    if form in _PACKAGES and find_spec(form) is None:
        raise ConfigurationError(f"{form} is not installed.", hint=f"pip install {form}")


def collect(scan: Scan, form: str) -> Any:
    """Return the rows of a scan.

    Args:
        scan: What to read.
        form: `table`, `batches`, `pandas` or `polars`; of `batches` the scan itself.

    Raises what iterating over the scan does.
    """
    return scan if form == "batches" else _as(form, pa.Table.from_batches(scan, scan.schema))


async def acollect(scan: Scan, form: str) -> Any:
    """Do what `collect` does without blocking the event loop."""
    if form == "batches":
        return scan
    batches = [batch async for batch in scan]
    return _as(form, pa.Table.from_batches(batches, scan.schema))


def _as(form: str, table: pa.Table) -> Any:
    if form == "pandas":
        return table.to_pandas()
    if form == "polars":
        # No dependency of ours, so that nothing here knows its types.
        return import_module(form).from_arrow(table)
    return table
