from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.local.classdata import ClassData

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.local.config import NodeSpec
    from prefect_cassandra.local.jvm import Runtime

    RuntimeMaker = Callable[[str], Runtime]

# Stands in for `java -Xshare:dump`: writes the archive asked for from the list it is given.
DUMP = """for one; do case $one in
  -XX:SharedArchiveFile=*) archive=${one#*=} ;;
  -XX:SharedClassListFile=*) classes=${one#*=} ;;
esac; done
cat "$classes" > "$archive"
"""


def record(data: ClassData, text: str) -> None:
    """Do what the recording node does."""
    (flag,) = data.recording_flags()
    with open(flag.partition("=")[2], "w", encoding="ascii") as file:  # noqa: PTH123 -- a flag's value
        file.write(text)


def leftovers(cache: Path) -> set[str]:
    return {path.suffix for path in (cache / "classdata").iterdir()} - {".lock", ".log"}


def test_flags_use_an_archive_only_once_there_is_one(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    data = ClassData(spec, runtime_with(DUMP))
    assert data.flags() == []
    record(data, "java/lang/Object\n")
    assert data.start_dump(os.environ)
    assert data.finish(10)
    assert data.flags() == ["-Xshare:auto", f"-XX:SharedArchiveFile={data.archive}"]
    assert data.recording_flags() == []
    assert leftovers(data.archive.parents[1]) == {".jsa"}


def test_start_dump_drops_the_line_the_recording_node_had_not_finished(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    data = ClassData(spec, runtime_with(DUMP))
    record(data, "java/lang/Object\njava/lang/Str")
    data.start_dump(os.environ)
    assert data.finish(10)
    assert data.archive.read_text() == "java/lang/Object\n"


def test_recording_is_done_by_one_stack_at_a_time(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    runtime = runtime_with(DUMP)
    first, second = ClassData(spec, runtime), ClassData(spec, runtime)
    assert first.recording_flags()
    assert second.recording_flags() == []
    assert second.start_dump(os.environ) is False
    first.finish(0)
    assert second.recording_flags()
    second.finish(0)


def test_start_dump_without_a_recorded_list_does_nothing(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    data = ClassData(spec, runtime_with(DUMP))
    assert data.recording_flags()
    assert data.start_dump(os.environ) is False
    assert data.finish(0) is False


@pytest.mark.parametrize("script", [f"{DUMP}exit 1", f"{DUMP}exec sleep 60"])
def test_finish_of_a_failed_or_unfinished_dump_leaves_nothing(
    spec: NodeSpec, runtime_with: RuntimeMaker, script: str
) -> None:
    data = ClassData(spec, runtime_with(script))
    record(data, "java/lang/Object\n")
    assert data.start_dump(os.environ)
    assert data.finish(0.2) is False
    assert not data.is_dumping()
    assert leftovers(data.archive.parents[1]) == set()


def test_archive_belongs_to_one_java_one_class_path_and_one_set_of_flags(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    runtime = runtime_with(DUMP)
    archive = ClassData(spec, runtime).archive
    assert ClassData(replace(spec, heap="2G", cql_port=1), runtime).archive == archive
    others = [
        ClassData(replace(spec, collector="g1"), runtime).archive,
        ClassData(spec, replace(runtime, jars=runtime.jars[:-1])).archive,
        ClassData(spec, replace(runtime, java=replace(runtime.java, version="17.0.2"))).archive,
    ]
    runtime.jars[0].write_bytes(b"another jar")
    others.append(ClassData(spec, runtime).archive)
    assert len({archive, *others}) == 5


def test_new_archive_pushes_out_the_longest_unused(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    data = ClassData(spec, runtime_with(DUMP))
    record(data, "java/lang/Object\n")
    for age in range(5):
        old = data.archive.with_name(f"old{age}.jsa")
        old.touch()
        os.utime(old, (1000 - age, 1000 - age))
    data.start_dump(os.environ)
    data.finish(10)
    kept = {path.stem for path in data.archive.parent.glob("*.jsa")}
    assert kept == {data.archive.stem, "old0", "old1", "old2"}
