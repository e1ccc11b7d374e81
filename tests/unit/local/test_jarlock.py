from __future__ import annotations

import json
import logging
from importlib import resources

import pytest

from prefect_cassandra.local.jarlock import CASSANDRA, Suspicions, is_wanted, render
from prefect_cassandra.local.jars import LOCK_NAME, Jar, read_lock


@pytest.mark.parametrize(
    ("artifact", "classifier", "wanted"),
    [
        ("guava", "", True),
        ("jffi", "native", True),
        ("netty-transport-native-epoll", "linux-x86_64", True),
        ("netty-transport-native-kqueue", "osx-aarch_64", True),
        ("netty-transport-native-epoll", "linux-riscv64", False),
        ("netty-tcnative-boringssl-static", "windows-x86_64", False),
        ("netty-resolver-dns-native-macos", "osx-x86_64", False),
        ("cassandra-driver-core", "shaded", False),
        ("j2objc-annotations", "", False),
    ],
)
def test_is_wanted_keeps_what_runs_somewhere_we_run(
    artifact: str, classifier: str, *, wanted: bool
) -> None:
    assert is_wanted(artifact, classifier) is wanted


def test_render_sorts_and_reads_back() -> None:
    jars = [Jar("b:b:1", 2, "22", "any"), Jar("a:a:1:linux-x86_64", 1, "11", "linux-x86_64")]
    read = json.loads(render("5.0.1", jars))
    assert read["cassandra"] == "5.0.1"
    assert [Jar(**jar) for jar in read["jars"]] == jars[::-1]


def test_suspicions_keep_a_checksum_that_does_not_match() -> None:
    suspicions = Suspicions()
    for text in ("Invalid JDK version", "Checksum mismatch for a.jar: expected 1, got 2"):
        suspicions.handle(logging.LogRecord("jgo", logging.WARNING, "", 0, text, None, None))
    assert suspicions.found == ["Checksum mismatch for a.jar: expected 1, got 2"]


def test_committed_lock_is_what_the_script_writes() -> None:
    lock = read_lock()
    text = resources.files("prefect_cassandra.local").joinpath(LOCK_NAME).read_text("utf-8")
    assert render(CASSANDRA, list(lock.jars)) == text
