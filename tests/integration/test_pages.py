"""Every Python block of the README and the docs runs as a reader would run it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.snippets import Snippet, snippets

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import RunningPrefect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
def test_a_block_of_code_does_what_its_page_says(
    deployed: RunningPrefect, snippet: Snippet, tmp_path: Path
) -> None:
    program = tmp_path / "page.py"
    program.write_text(f"{snippet.code}\n{snippet.then}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program],
        env=deployed.stack.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
