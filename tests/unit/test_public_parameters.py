"""What Prefect would show to everybody is refused when it is a secret."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra import Files, load_in_jobs, unload_in_jobs
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.tasks.public_parameters import refuse_secrets


@pytest.mark.parametrize(
    "options",
    [
        {"key": "AKIA", "secret": "x"},
        {"client_kwargs": {"aws_secret_access_key": "x"}},
        {"account_key": "x"},
        {"sas_token": "x"},
        {"password": "x"},
        {"token": "/secrets/token.json"},
        {"aws_access_key_id": "x"},
        {"connection_string": "x"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_with_secrets_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="would be shown") as caught:
        refuse_secrets([], options)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"anon": True, "endpoint_url": "http://minio:9000"},
        {"client_kwargs": {"region_name": "eu-west-1"}},
        {"token": None, "account_name": "flights", "requester_pays": False},
    ],
    ids=str,
)
def test_options_without_secrets_are_taken(options: dict[str, Any]) -> None:
    urls = [
        "s3://bucket/a@b.csv",
        "/data",
        "abfss://data@acct.dfs.core.windows.net/a",
        "sftp://me@h/",
    ]
    refuse_secrets(urls, options)


def test_nothing_is_started_with_a_login_in_a_url() -> None:
    with pytest.raises(ConfigurationError, match="s3://bucket/in was given with a login") as caught:
        load_in_jobs("f/d", cluster="c", table="ks.t", files=Files("s3://me:pass@bucket/in"))
    assert "pass" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="storage option 'secret'"):
        unload_in_jobs(
            "f/d",
            cluster="c",
            table="ks.t",
            url="memory://out",
            options={"storage_options": {"secret": "x"}},
        )
