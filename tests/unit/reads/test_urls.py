from __future__ import annotations

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.destination import Destination
from prefect_cassandra.reads.urls import without_login


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/data/a@b.csv", "/data/a@b.csv"),
        ("s3://bucket/a@b?.csv", "s3://bucket/a@b?.csv"),
        ("s3://key:secret@bucket/a.csv", "s3://bucket/a.csv"),
        ("simplecache::sftp://me:pa@ss@host/a", "simplecache::sftp://host/a"),
        ("https://host/a.csv?X-Amz-Signature=abc", "https://host/a.csv"),
        ("no s3://k:s@b/x, no https://u@h/y?z=1 either", "no s3://b/x, no https://h/y either"),
    ],
)
def test_what_is_shown_holds_no_login(url: str, shown: str) -> None:
    assert without_login(url) == shown


def test_a_destination_is_called_without_its_login() -> None:
    assert Destination("memory://me:secret@host/out/").url == "memory://host/out"
    with pytest.raises(ConfigurationError) as caught:
        Destination("nonsense://me:secret@host/out")
    assert "secret" not in str(caught.value)
