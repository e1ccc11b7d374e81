from __future__ import annotations

import pytest

from release.packages import missing
from support.snippets import ROOT

ABOUT = {"prefect_cassandra-1.2.3.dist-info/METADATA"}
LICENCE = {"prefect_cassandra-1.2.3.dist-info/licenses/LICENSE"}


def everything() -> set[str]:
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    return files | ABOUT | LICENCE


def test_a_wheel_with_every_source_lacks_nothing() -> None:
    assert missing(ROOT, everything(), "1.2.3") == []


@pytest.mark.parametrize(
    "name",
    [
        "prefect_cassandra/py.typed",
        # A file that is no module: a build that takes only Python's would leave it out.
        "prefect_cassandra/local/jars.lock.json",
        "prefect_cassandra-1.2.3.dist-info/licenses/LICENSE",
    ],
)
def test_what_a_wheel_lacks_is_named(name: str) -> None:
    assert missing(ROOT, everything() - {name}, "1.2.3") == [name]
