"""Passwords: made well, kept, and nowhere but in Secrets."""

from __future__ import annotations

import base64
import json
import re

import pytest

from chart.rendering import CHART, Object, Pod, kinds, parsed, render, template, text_of

GENERATED = re.compile(r"[A-Za-z0-9]{32,40}")
PLAIN = {"username", "ca.crt", "tls.crt"}
WEAK = {"admin", "cassandra", "changeme", "password", "postgres", "prefect", "secret"}


def contents(secret: Object) -> dict[str, str]:
    """Return what is in a Secret, decoded."""
    data = {key: base64.b64decode(text).decode() for key, text in secret.get("data", {}).items()}
    return data | secret.get("stringData", {})


def passwords(objects: list[Object]) -> dict[str, str]:
    """Return everything generated, by Secret and key; of a URL or a login the password alone."""
    found = {}
    for secret in kinds(objects, "Secret"):
        for key, text in contents(secret).items():
            if key not in PLAIN:
                match = GENERATED.search(text) if "PRIVATE KEY" not in text else None
                found[f"{secret['metadata']['name']}.{key}"] = match[0] if match else text
    return found


def without_contents(objects: list[Object]) -> list[Object]:
    """Take away what is in Secrets."""
    for secret in kinds(objects, "Secret"):
        for key in ("data", "stringData"):
            secret[key] = sorted(secret.get(key, {}))
    return objects


def test_passwords_are_in_secrets_alone(profile: str, objects: list[Object]) -> None:
    known = passwords(objects)
    text = json.dumps([item for item in objects if item["kind"] != "Secret"])
    for where, password in known.items():
        assert password not in text, where
        assert base64.b64encode(password.encode()).decode() not in text, where
    assert len(known) >= 4 or profile == "existing-secrets"


def test_passwords_are_long_and_not_known(objects: list[Object]) -> None:
    for where, password in passwords(objects).items():
        if "tls.key" not in where:
            assert GENERATED.fullmatch(password), where
            # Random: every character the same, or a word made long, would have fewer kinds of them.
            assert len(set(password)) > 10, where
        assert password.lower() not in WEAK, where


def test_no_password_is_used_twice(objects: list[Object]) -> None:
    known = passwords(objects)
    # The database's URL holds its password, as it must.
    known.pop("pc-postgres.connection-url", None)
    assert len(set(known.values())) == len(known)


def test_url_of_the_database_holds_its_password() -> None:
    (secret,) = (
        contents(item)
        for item in kinds(render("default"), "Secret")
        if item["metadata"]["name"] == "pc-postgres"
    )
    password = secret["password"]
    wanted = f"postgresql+asyncpg://prefect:{password}@pc-postgres:5432/prefect"
    assert secret["connection-url"] == wanted


def test_generated_secrets_are_kept(profile: str, objects: list[Object]) -> None:
    secrets = kinds(objects, "Secret")
    assert bool(secrets) == (profile != "existing-secrets")
    for secret in secrets:
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("profile", ["default", "cassandra-only", "tls"])
def test_two_renderings_differ_in_generated_values_alone(profile: str) -> None:
    first, second = parsed(text_of(profile)), parsed(text_of(profile))
    changed, other = passwords(first), passwords(second)
    assert changed.keys() == other.keys()
    assert [where for where in changed if changed[where] == other[where]] == []
    assert without_contents(first) == without_contents(second)


def test_nothing_is_generated_with_existing_secrets() -> None:
    """As it must be where each rendering is compared with the last: Argo CD, `helm diff`."""
    first, second = text_of("existing-secrets"), text_of("existing-secrets")
    assert first == second
    assert kinds(parsed(first), "Secret") == []


@pytest.mark.parametrize("part", ["server", "worker", "cassandra", "bootstrap"])
def test_generation_refused_makes_none_with_a_part_off(part: str) -> None:
    """Either helm says which Secret it misses, or there is none among the objects."""
    named = {
        "server": {"auth": {"existingSecret": "a"}},
        "postgres": {"auth": {"existingSecret": "b"}},
        "logins": {"superuserSecret": "c"},
        "externalServer": {"apiUrl": "https://host/api"} if part == "server" else {},
        "externalCassandra": {"contactPoints": ["host"]},
        "podDefaults": {"generateSecrets": False},
    }
    named[part] = {**named.get(part, {}), "enabled": False}
    done = template(values=named)
    assert "- logins.existingPrefix: " in done.stderr
    named["logins"]["existingPrefix"] = "d"
    assert kinds(render(named), "Secret") == []


def test_generation_refused_names_every_secret_that_is_missing() -> None:
    values = {"podDefaults": {"generateSecrets": False}, "cassandra": {"tls": {"client": True}}}
    done = template(values=values)
    assert done.returncode != 0
    for path in (
        "server.auth.existingSecret",
        "postgres.auth.existingSecret",
        "logins.superuserSecret",
        "logins.existingPrefix",
        "cassandra.tls.existingSecret",
    ):
        assert f"- {path}: " in done.stderr


def test_certificate_and_key_of_the_node_belong_together() -> None:
    x509 = pytest.importorskip("cryptography.x509")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    (secret,) = (
        contents(item) for item in kinds(render("tls"), "Secret") if "tls.key" in contents(item)
    )
    certificate = x509.load_pem_x509_certificate(secret["tls.crt"].encode())
    authority = x509.load_pem_x509_certificate(secret["ca.crt"].encode())
    key = serialization.load_pem_private_key(secret["tls.key"].encode(), None)
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = names.get_values_for_type(x509.DNSName)
    assert {"pc-cassandra", "*.pc-cassandra-nodes.prefect.svc.cluster.local", "localhost"} <= {*dns}


def test_clients_are_given_the_authority_alone(profile: str, templates: list[Pod]) -> None:
    """The key of the node's certificate may be in the same Secret."""
    found = {
        pod.component: [item["key"] for item in volume["secret"]["items"]]
        for pod in templates
        for volume in pod.spec["volumes"]
        if volume["name"] == "ca"
    }
    encrypted = profile in {"server-only", "tls", "existing-secrets"}
    clients = ("bootstrap", "flow", "test") if encrypted else ()
    assert found == {name: ["ca.crt"] for name in clients}


def test_values_have_no_place_for_a_password() -> None:
    """So that none ends in a shell's history, in git, or in the release that helm stores."""
    properties = re.findall(r'"(\w+)": \{', (CHART / "values.schema.json").read_text("utf-8"))
    assert len(properties) > 150
    assert [
        name for name in properties if re.search("password|token|passphrase", name, re.IGNORECASE)
    ] == []
