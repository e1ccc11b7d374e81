from __future__ import annotations

import pytest

from prefect_cassandra.writes.limits import BatchLimits, limits_from


def test_limits_are_those_of_the_server() -> None:
    found = limits_from(
        {
            "batch_size_warn_threshold": "64KiB",
            "unlogged_batch_across_partitions_warn_threshold": "3",
            "max_mutation_size": "1MiB",
            "native_transport_max_frame_size": "16MiB",
            "native_transport_max_message_size": "8388608B",
        }
    )
    assert (found.shared_bytes, found.shared_partitions) == (65_536, 3)
    assert found.row_bytes == (1 << 20) - 1024
    assert found.bytes == BatchLimits().bytes


def test_limits_of_a_server_that_takes_little_are_small() -> None:
    assert limits_from({"max_mutation_size": "16KiB"}).bytes == 15 << 10


@pytest.mark.parametrize("text", [None, "", "many", "5XiB", "-1"])
def test_limits_that_cannot_be_read_are_the_defaults(text: str | None) -> None:
    found = limits_from({"batch_size_warn_threshold": text})
    assert found.shared_bytes == 5 << 10
