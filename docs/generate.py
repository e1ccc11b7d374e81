"""Write the reference pages that repeat what the code says: settings, errors and types.

`make docs` runs it; a test fails when a page is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_cassandra import errors
from prefect_cassandra.driver.arrow_types import NESTED, SCALARS
from prefect_cassandra.settings import DriverSettings, LedgerSettings, LocalSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code; change it there. -->\n"


def settings_page() -> str:
    """Return the page with every setting, its variable, default and reason."""
    lines = [
        "# Settings\n",
        NOTE,
        "A setting is looked up in this order: the environment variable, `.env`, `prefect.toml`,",
        "`pyproject.toml`, the active Prefect profile, the default.\n",
    ]
    for model in (DriverSettings, LedgerSettings, LocalSettings):
        prefix = str(model.model_config["env_prefix"])
        lines += [f"## {model.__name__}\n", f"{(model.__doc__ or '').splitlines()[0]}\n"]
        lines += ["| variable | default | what it is |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            shown = str(default).replace(str(Path.home()), "~") if default != "" else " "
            lines.append(f"| `{prefix}{name.upper()}` | `{shown}` | {field.description} |")
        lines.append("")
    return "\n".join(lines)


def _classes(
    root: type[errors.PrefectCassandraError],
) -> Iterator[type[errors.PrefectCassandraError]]:
    yield root
    for child in root.__subclasses__():
        yield from _classes(child)


def errors_page() -> str:
    """Return the page with every error's code, exit code and meaning."""
    lines = ["# Errors\n", NOTE]
    lines += ["| code | class | exit code | meaning |", "|---|---|---|---|"]
    for error in sorted(_classes(errors.PrefectCassandraError), key=lambda item: item.code):
        meaning = (error.__doc__ or "").splitlines()[0]
        lines.append(f"| {error.code} | `{error.__name__}` | {error.exit_code} | {meaning} |")
    tree = (errors.__doc__ or "").split("```")[1].strip("\n")
    lines += ["", "The tree:\n", "```text", tree, "```", ""]
    return "\n".join(lines)


def types_page() -> str:
    """Return the page with the Arrow type of each CQL type, both ways."""
    lines = [
        "# Types\n",
        NOTE,
        "What a CQL type is read as, and which Arrow types it can be written from. A value that",
        "does not fit exactly is refused by row and column, never changed.\n",
        "| CQL | read as | written from | notes |",
        "|---|---|---|---|",
    ]
    for name, scalar in SCALARS.items():
        taken = ", ".join(words for words, _ in scalar.written_from)
        read = str(scalar.read).replace("extension<arrow.uuid>", "uuid")
        lines.append(f"| `{name}` | `{read}` | {taken} | {scalar.note} |")
    lines += ["", "Types made of others:\n", "| CQL | read as | written from |", "|---|---|---|"]
    lines += [f"| `{name}` | `{read}` | {taken} |" for name, (read, taken) in NESTED.items()]
    return "\n".join([*lines, ""])


PAGES = {"settings.md": settings_page, "errors.md": errors_page, "types.md": types_page}


def main() -> int:
    """Write the pages; with `--check` compare only and return 1 when one is stale."""
    stale = []
    for name, render in PAGES.items():
        path = HERE / name
        text = render()
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run `make docs`", file=sys.stderr)  # noqa: T201 -- a command
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
