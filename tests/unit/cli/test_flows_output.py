from __future__ import annotations

import json

import pytest

from prefect_cassandra.cli.flows_output import show_history, show_restored
from prefect_cassandra.kube.restoring import Restored
from prefect_cassandra.kube.versions import Entry
from support.versions import TAG, version

MADE = version(3, restored_from=1, kubernetes_user="person", git_commit="0123456789abcdef+changes")
BROUGHT = version(2, promoted_from="one/staging/pc version 7", git_commit="")
ENTRIES = [Entry(MADE, "in use"), Entry(BROUGHT, "superseded"), Entry(version(1), "superseded")]


def test_a_line_says_what_who_when_and_where_from(capsys: pytest.CaptureFixture[str]) -> None:
    show_history(ENTRIES, "table")
    _, *lines = capsys.readouterr().out.splitlines()
    for part in (
        "flights/flights",
        "in use",
        TAG,
        "0123456789+changes",
        "2026-01-03 12:00:00",
        "A Person <person@example.org> (person)",
        "version 1",
    ):
        assert part in lines[0]
    assert lines[1].rstrip().endswith("one/staging/pc version 7")
    assert lines[2].rstrip().endswith("-")


def test_programs_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    show_history(ENTRIES, "json")
    first, *_ = json.loads(capsys.readouterr().out)
    assert first == {
        "deployment": "flights/flights",
        "version": 3,
        "label": f"v3-{TAG}",
        "state": "in use",
        "image": f"flows:{TAG}",
        "image_tag": TAG,
        "git_commit": "0123456789abcdef+changes",
        "created_by": "A Person <person@example.org>",
        "kubernetes_user": "person",
        "restored_from": 1,
        "promoted_from": "",
        "digest": "",
        "created_at": "2026-01-03T12:00:00+00:00",
        "package_version": "0.1.0",
    }


@pytest.mark.parametrize(("output", "said"), [("table", ""), ("json", "[]\n")])
def test_no_version_yet(output: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_history([], output)
    out, err = capsys.readouterr()
    assert out == said
    assert ("flows push" in err) == (output == "table")


def test_what_is_in_use_now_is_said_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_restored(Restored(MADE, version(1)))
    assert capsys.readouterr().out == (
        f"flights/flights: version 3, v3-{TAG}, made of version 1, with flows:{TAG}\n"
    )
