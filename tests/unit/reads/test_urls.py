from __future__ import annotations

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.destination import Destination
from prefect_cassandra.reads.urls import holds_secret, without_login


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/data/a@b.csv", "/data/a@b.csv"),
        ("s3://bucket/a@b?.csv", "s3://bucket/a@b?.csv"),
        ("s3://key:secret@bucket/a.csv", "s3://bucket/a.csv"),
        ("simplecache::sftp://me:pa@ss@host/a", "simplecache::sftp://host/a"),
        ("https://host/a.csv?X-Amz-Signature=abc", "https://host/a.csv"),
        ("abfss://data@acct.dfs.core.windows.net/a", "abfss://data@acct.dfs.core.windows.net/a"),
        ("simplecache::WASBS://data@acct/a b@c", "simplecache::WASBS://data@acct/a b@c"),
        ("github://org:repo@main/a.csv", "github://org:repo@main/a.csv"),
        ("abfs://c@acct/a or sftp://me:p@host/a", "abfs://c@acct/a or sftp://host/a"),
        ("://me:p@host", "://host"),
        ("no s3://k:s@b/x, no https://u@h/y?z=1 either", "no s3://b/x, no https://h/y either"),
    ],
)
def test_what_is_shown_holds_no_login(url: str, shown: str) -> None:
    assert without_login(url) == shown


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("/data/a@b.csv", False),
        ("s3://bucket/a:b@c.csv", False),
        ("s3://key:secret@bucket/a.csv", True),
        ("sftp://me@host/a", False),
        ("sftp://me:@host/a", False),
        ("simplecache::sftp://me:pa:ss@host/a", True),
        ("abfss://data@acct.dfs.core.windows.net/a", False),
        ("simplecache::wasb://data@acct/a", False),
        ("github://org:repo@main/a.csv", False),
        ("zip://a.csv::https://token@host/a.zip", True),
        ("https://host/a.csv?X-Amz-Signature=abc", True),
        ("https://host/a.csv", False),
        ("abfs://data@acct/a::ftp://me:p@host/a", True),
    ],
)
def test_a_secret_is_a_password_a_token_or_a_signature(url: str, *, secret: bool) -> None:
    assert holds_secret(url) is secret


def test_a_destination_is_called_without_its_login() -> None:
    assert Destination("memory://me:secret@host/out/").url == "memory://host/out"
    with pytest.raises(ConfigurationError) as caught:
        Destination("nonsense://me:secret@host/out")
    assert "secret" not in str(caught.value)
