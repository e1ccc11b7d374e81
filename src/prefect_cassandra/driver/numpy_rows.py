"""Rows as NumPy columns, without the driver's silent loss of them.

`cassandra.numpy_parser` of 3.30.1 calls `ndarray.newbyteorder`, which NumPy 2 removed. Its caller
swallows that error, parses the rows a second time only to find a better message, finds none, and
delivers an empty result: no rows, no error. The function below replaces the one at fault, and
`require_columns` refuses a result that vanished for any other reason.
"""

from __future__ import annotations

import sys
from typing import Any

from cassandra import numpy_parser
from cassandra.protocol import NumpyProtocolHandler

from prefect_cassandra.errors import DataError


def _native_byte_order(column: Any) -> Any:
    """Return `column`, which arrives big-endian, in this machine's byte order."""
    if sys.byteorder == "big" or column.dtype.kind == "O":
        return column
    return column.byteswap().view(column.dtype.newbyteorder())


numpy_parser.make_native_byteorder = _native_byte_order

Handler = NumpyProtocolHandler


def as_columns(future: Any) -> None:
    """Have a request's answer delivered as a dictionary of columns; called before it is sent."""
    future.row_factory = require_columns


def require_columns(_names: list[str], columns: Any) -> Any:
    """Hand the columns on, or say that they got lost.

    Raises:
        DataError: The driver delivered nothing where it must deliver columns.
    """
    if columns is None:
        raise DataError(
            "The driver could not read the answer into NumPy columns and delivered nothing.",
            hint="Read it as rows instead, and report the column types of the query.",
        )
    return columns
