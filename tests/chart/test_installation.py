"""What the release tells programs outside of it, as the command line reads it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from chart.references import EXISTING
from chart.rendering import NAMESPACE, RELEASE, Object, kinds, named, pods, render
from prefect_cassandra.kube.installation import (
    KEY,
    THING,
    InstalledRelease,
    InstalledService,
    SecretKey,
    parse_installation,
)
from prefect_cassandra.kube.kubectl import Release

NAME = Release(RELEASE, NAMESPACE).object(THING)


def installation(wanted: str | Object) -> InstalledRelease:
    """Return what a profile or values say of themselves."""
    found = named(render(wanted), "ConfigMap", NAME)
    return parse_installation(found["data"][KEY], NAME)


def test_the_reader_reads_what_the_chart_writes(profile: str) -> None:
    found = installation(profile)
    assert (found.release, found.namespace) == (RELEASE, NAMESPACE)
    assert found.chart_version
    assert found.work_pool.enabled
    assert (found.work_pool.name, found.work_pool.queues) == ("cassandra", ("default", "heavy"))


def test_every_key_is_read() -> None:
    """A key that nobody reads is a misspelt one."""
    text = named(render("existing-secrets"), "ConfigMap", NAME)["data"][KEY]
    assert unread(json.loads(text), installation("existing-secrets")) == []


def unread(written: Any, found: Any) -> list[str]:
    """Return the keys of the JSON without an attribute of their name."""
    lost = []
    for key, value in written.items():
        attribute = "".join(f"_{c.lower()}" if c.isupper() else c for c in key)
        if not hasattr(found, attribute):
            lost.append(key)
        elif isinstance(value, dict) and not isinstance(getattr(found, attribute), dict):
            lost += [f"{key}.{one}" for one in unread(value, getattr(found, attribute))]
    return lost


def test_every_secret_that_it_names_is_there(profile: str, objects: list[Object]) -> None:
    found = installation(profile)
    there = {item["metadata"]["name"] for item in kinds(objects, "Secret")}
    there |= EXISTING.get(profile, {}).keys()
    # Secrets of logins that flows alone use are optional to the test's profiles.
    names = {*found.logins.values(), found.superuser_secret, *found.pods.image_pull_secrets}
    keys = [found.cassandra.ca_secret, found.server.auth_secret]
    assert names | {key.name for key in keys if key} <= there
    assert len(names) >= 4


def test_every_account_that_it_names_is_there(profile: str, objects: list[Object]) -> None:
    accounts = {item["metadata"]["name"] for item in kinds(objects, "ServiceAccount")}
    named_ones = installation(profile).pods.service_accounts
    assert set(named_ones) == {"hooks", "flow"}
    assert set(named_ones.values()) <= accounts


def test_it_says_of_the_database_what_the_bootstrap_is_told(
    profile: str, objects: list[Object]
) -> None:
    (pod,) = (one for one in pods(objects) if one.component == "bootstrap")
    words = pod.containers[0]["args"]
    told = dict(itertools.pairwise(words))
    found = installation(profile).cassandra
    assert told["--contact-points"] == ",".join(found.contact_points)
    assert told["--port"] == str(found.port)
    assert told["--local-datacenter"] == found.local_datacenter
    assert told["--nodes"] == str(found.replicas)
    assert told.get("--ca-file", "") == found.ca_file
    assert found.tls == ("--ca-file" in words or "--tls" in words)


def test_the_default_is_a_release_of_its_own() -> None:
    found = installation("default")
    assert found.cassandra.enabled
    assert found.cassandra.contact_points == ("pc-cassandra",)
    assert not found.cassandra.tls
    assert found.cassandra.ca_secret is None
    assert found.server.enabled
    assert found.server.service == InstalledService("pc-server", 4200)
    assert found.server.auth_secret == SecretKey("pc-server-auth", "auth-string")
    assert found.server.ui_url == "http://localhost:4200"
    assert found.login_secret("prefect_owner") == "pc-login-prefect-owner"


def test_halves_name_the_other_half() -> None:
    found = installation("server-only").cassandra
    assert (found.enabled, found.replicas, found.tls) == (False, 0, True)
    assert found.contact_points == ("cassandra-a.example.com", "cassandra-b.example.com")
    assert (found.port, found.local_datacenter) == (9142, "west")
    assert found.ca_secret == SecretKey("their-authority", "ca.crt")
    server = installation("cassandra-only").server
    assert (server.enabled, server.service, server.ui_url) == (False, None, "")
    assert server.api_url == "https://prefect.example.com:8443/api"
    assert server.auth_secret == SecretKey("their-server", "login")


def test_tls_by_the_public_authorities_needs_no_file() -> None:
    values = {
        "cassandra": {"enabled": False},
        "externalCassandra": {"contactPoints": ["a.example.com"], "tls": {"enabled": True}},
        "logins": {"superuserSecret": "their-superuser"},
    }
    found = installation(values).cassandra
    assert (found.tls, found.ca_file, found.ca_secret) == (True, "", None)


def test_a_server_without_a_credential_has_none() -> None:
    values = {
        "server": {"enabled": False},
        "externalServer": {"apiUrl": "http://prefect.example.com/api"},
    }
    assert installation(values).server.auth_secret is None


def test_secrets_of_other_names_are_named() -> None:
    found = installation("existing-secrets")
    assert found.login_secret("flights_flow") == "their-login-flights-flow"
    assert found.superuser_secret == "their-superuser"
    assert found.pods.image_pull_secrets == ("registry",)
    assert found.server.auth_secret == SecretKey("their-server", "login")
    assert found.cassandra.ca_secret == SecretKey("their-certificate", "ca.crt")


def test_pods_are_placed_as_the_values_say() -> None:
    found = installation("external-postgres").pods
    assert found.node_selector == {"pool": "data"}
    assert found.priority_class_name == "high"
    assert found.tolerations == (
        {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"},
    )


@pytest.mark.parametrize("digest", ["", "sha256:" + "a" * 64])
def test_images_are_named_as_pods_name_them(digest: str) -> None:
    values = {
        "images": {"flows": {"repository": "host.example.org/flows", "tag": "1", "digest": digest}}
    }
    expected = f"host.example.org/flows@{digest}" if digest else "host.example.org/flows:1"
    assert installation(values).images.flows == expected
