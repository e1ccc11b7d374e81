from __future__ import annotations

import numpy as np
import pytest
from cassandra import numpy_parser

from prefect_cassandra.driver import numpy_rows
from prefect_cassandra.errors import DataError


def test_driver_uses_the_replacement_that_numpy_2_needs() -> None:
    wire = np.array([1, 2**40], dtype=">i8")

    column = numpy_parser.make_native_byteorder(wire)

    assert column.dtype.isnative
    assert column.tolist() == [1, 2**40]


def test_mask_of_nulls_survives_the_change_of_byte_order() -> None:
    wire = np.ma.array(np.array([1.5, 0.0], dtype=">f8"), mask=[False, True])

    assert numpy_parser.make_native_byteorder(wire).tolist() == [1.5, None]


def test_objects_have_no_byte_order() -> None:
    column = np.array(["a", None], dtype=object)

    assert numpy_parser.make_native_byteorder(column) is column


def test_columns_that_vanished_are_an_error() -> None:
    with pytest.raises(DataError, match="delivered nothing"):
        numpy_rows.require_columns(["a"], None)

    assert numpy_rows.require_columns(["a"], {"a": 1}) == {"a": 1}
