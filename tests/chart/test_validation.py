"""Values that are right each for itself and wrong together: what is said about them.

What is compared with a running cluster (`pc.cassandra.problems.live`: fewer replicas, another size
of the volumes, another name of the cluster, the datacenter or the racks) asks the cluster by
`lookup`, which answers nothing here; tests/e2e is the place for it.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest

from chart.rendering import CHART, template

NO_CASSANDRA = {"cassandra": {"enabled": False}}
THEIRS = {"externalCassandra": {"contactPoints": ["host"]}, **NO_CASSANDRA}
SUPERUSER = {"logins": {"superuserSecret": "theirs"}}
REFUSE = {"podDefaults": {"generateSecrets": False}}

# Path of the value, what is said to do about it, and values that are wrong in this way.
CASES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "images.registry",
        "run `make push REGISTRY=registry.example.org/data` with a registry of yours",
        {"images": {"registry": ""}},
    ),
    (
        "server.enabled",
        "set one of them to true",
        {"server": {"enabled": False}, "worker": {"enabled": False}, **THEIRS, **SUPERUSER},
    ),
    (
        "externalServer.apiUrl",
        "set server.enabled=false or leave apiUrl empty",
        {"externalServer": {"apiUrl": "https://prefect.example.com/api"}},
    ),
    (
        "externalServer.apiUrl",
        "set it to the API of your server, for example https://prefect.example.com/api",
        {"server": {"enabled": False}},
    ),
    (
        "externalServer.apiUrl",
        "prefect.example.com is not the address of an API; it begins with http:// or https://",
        {"server": {"enabled": False}, "externalServer": {"apiUrl": "prefect.example.com"}},
    ),
    (
        "server.ingress.host",
        "set it to the host name people will use",
        {"server": {"ingress": {"enabled": True}}},
    ),
    (
        "reconciler.enabled",
        "set it in the release that has the worker",
        {"reconciler": {"enabled": True}, "worker": {"enabled": False}},
    ),
    (
        "server.ingress.enabled",
        "set it to false",
        {
            "server": {"enabled": False, "ingress": {"enabled": True, "host": "h"}},
            "externalServer": {"apiUrl": "https://prefect.example.com/api"},
        },
    ),
    ("images.cassandra.tag", "set a tag or a digest", {"images": {"cassandra": {"tag": ""}}}),
    ("images.postgres.tag", "set a tag or a digest", {"images": {"postgres": {"tag": ""}}}),
    (
        "logins.superuserSecret",
        "set it to a Secret with username and password, or bootstrap.enabled=false",
        THEIRS,
    ),
    ("keyspaces.prefect_state", "remove it", {"keyspaces": {"prefect_state": {}}}),
    ("keyspaces.prefect_ledger", "remove it", {"keyspaces": {"prefect_ledger": {}}}),
    ("keyspaces.system_auth", "choose another name", {"keyspaces": {"system_auth": {}}}),
    ("keyspaces.dse", "choose another name", {"keyspaces": {"dse": {}}}),
    (
        "keyspaces.flights.replication.west",
        "set it for dc1",
        {"keyspaces": {"flights": {"replication": {"west": 1}}}},
    ),
    (
        "keyspaces.flights.replication.dc1",
        "5 copies do not fit on 3 nodes; set at most that, or raise cassandra.replicas",
        {"keyspaces": {"flights": {"replication": {"dc1": 5}}}},
    ),
    (
        "workPool.queues",
        "twin is there twice; remove one of them",
        {"workPool": {"queues": [{"name": "default"}, {"name": "twin"}, {"name": "twin"}]}},
    ),
    ("workPool.queues", "add it", {"workPool": {"queues": [{"name": "heavy"}]}}),
    ("server.auth.existingSecret", "a Secret with the key auth-string", REFUSE),
    ("postgres.auth.existingSecret", "the keys password and connection-url", REFUSE),
    ("logins.superuserSecret", "a Secret with the keys username and password", REFUSE),
    (
        "logins.existingPrefix",
        "for each of prefect_owner, prefect_state, prefect_ledger, flights_flow, flights_reader",
        {"keyspaces": {"flights": {}}, **REFUSE},
    ),
    (
        "cassandra.tls.existingSecret",
        "name a Secret with tls.crt, tls.key and ca.crt, or set cassandra.tls.issuer.name",
        {"cassandra": {"tls": {"client": True}}, **REFUSE},
    ),
    (
        "externalCassandra.contactPoints",
        "name at least one node, or set cassandra.enabled=true",
        {**NO_CASSANDRA, **SUPERUSER},
    ),
    (
        "cassandra.resources.limits.memory",
        "set for example 4Gi",
        {"cassandra": {"resources": {"limits": {"memory": ""}}}},
    ),
    (
        "cassandra.racks",
        "name one, or at least three",
        {"cassandra": {"racks": ["rack1", "rack2"]}},
    ),
    (
        "cassandra.tls",
        "keep the one that shall give the certificate",
        {
            "cassandra": {
                "tls": {"client": True, "existingSecret": "theirs", "issuer": {"name": "theirs"}}
            }
        },
    ),
    (
        "cassandra.config.num_token",
        "correct the name",
        {"cassandra": {"config": {"num_token": 16}}},
    ),
    (
        "cassandra.config.listen_address",
        "look for a value of its own under cassandra",
        {"cassandra": {"config": {"listen_address": "0.0.0.0"}}},  # noqa: S104 -- refused
    ),
]


@functools.cache
def _said(values: str) -> str:
    done = template(values=json.loads(values))
    assert done.returncode != 0, f"accepted: {values}"
    return done.stderr


def said(values: dict[str, Any]) -> str:
    """Return why helm refuses to render these values."""
    return _said(json.dumps(values))


@pytest.mark.parametrize(
    ("path", "fix", "values"), CASES, ids=[f"{path}: {fix[:30]}" for path, fix, _ in CASES]
)
def test_problem_names_the_value_and_what_to_set(
    path: str, fix: str, values: dict[str, Any]
) -> None:
    (line,) = (
        found for found in said(values).splitlines() if f"- {path}: " in found and fix in found
    )
    assert line.startswith("  - ")
    assert "; " in line
    # No leftovers of a template: an empty name, a nil, a Go format that had no value.
    assert not re.search(r"<nil>|%!|map\[", line)


def test_all_problems_are_told_at_once() -> None:
    text = said({"cassandra": {"racks": ["a", "b"]}, "workPool": {"queues": []}, **REFUSE})
    assert "These values cannot be installed, 6 problems:" in text
    assert text.count("\n  - ") == 6


def test_one_problem_is_counted_as_one() -> None:
    assert "cannot be installed, 1 problem:" in said({"workPool": {"queues": []}})


def messages() -> list[str]:
    """Return every message in the templates as a pattern; those on a live cluster are left out."""
    server = (CHART / "templates" / "_problems.tpl").read_text("utf-8")
    cassandra = (CHART / "templates" / "cassandra" / "_problems.tpl").read_text("utf-8")
    cassandra = cassandra.partition('{{- define "pc.cassandra.problems.live"')[0]
    found = re.findall(r"^([A-Za-z](?:[\w.]|\{\{.*?\}\})*: .*; .*)$", server, re.MULTILINE)
    found += re.findall(r'^\{\{ (?:printf )?"(.+?)(?:\\n)?"', cassandra, re.MULTILINE)
    # What the template fills in is left open: only the fixed text must be there.
    return [
        ".*".join(re.escape(part) for part in re.split(r"\{\{.*?\}\}|%[sd]", message))
        for message in found
    ]


def test_every_message_is_provoked() -> None:
    spoken = "\n".join(said(values) for _, _, values in CASES)
    wanted = messages()
    assert len(wanted) >= 20
    assert [message for message in wanted if not re.search(message, spoken)] == []
