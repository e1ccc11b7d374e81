"""Writes values.yaml, values.schema.json and the README's table from `charts/model`.

The version in Chart.yaml comes from pyproject.toml.

`python charts/generate.py` writes them; with `--check` it says which are stale and exits 1
if any is.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

CHARTS = Path(__file__).resolve().parent
CHART = CHARTS / "prefect-cassandra"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
HEAD = "# Written by charts/generate.py from charts/model; edit the models, then run it again.\n"
WIDTH = 110

# The models are found beside this file, wherever it is started from.
sys.path.insert(0, str(CHARTS))
from model import Values  # noqa: E402  the line above makes it importable


def values_yaml() -> str:
    """Return values.yaml: every default, with its description above it."""
    return HEAD + "\n".join(_section(Values(), 0)) + "\n"


def schema() -> str:
    """Return values.schema.json: closed everywhere, without the prose of the docs."""
    body = Values.model_json_schema(by_alias=True)
    # A chart that has this one as a dependency hands these two down.
    body["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "prefect-cassandra"}
    return json.dumps(head | _bare(body), indent=2) + "\n"


def table() -> str:
    """Return the README's table: path, default and description of every value."""
    rows = ["| value | default | what it is |", "|---|---|---|"]
    rows += [
        f"| `{path}` | `{default}` | {about} |".replace("\n", " ")
        for path, default, about in _leaves(Values(), "")
    ]
    return "\n".join(rows)


def readme() -> str:
    """Return the README with a fresh table between its two marks."""
    before, rest = (CHART / "README.md").read_text("utf-8").split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def chart_yaml() -> str:
    """Return Chart.yaml with the project's version, which is that of the images as well."""
    declared = tomllib.loads((CHARTS.parent / "pyproject.toml").read_text("utf-8"))
    version = declared["project"]["version"]
    text = (CHART / "Chart.yaml").read_text("utf-8")
    text = re.sub(r"^version: .*$", f"version: {version}", text, flags=re.MULTILINE)
    return re.sub(r"^appVersion: .*$", f'appVersion: "{version}"', text, flags=re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` only compare them."""
    wanted = {
        "Chart.yaml": chart_yaml,
        "values.yaml": values_yaml,
        "values.schema.json": schema,
        "README.md": readme,
    }
    stale = []
    for name, text in wanted.items():
        path, fresh = CHART / name, text()
        if path.exists() and path.read_text("utf-8") == fresh:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(fresh, "utf-8")
    if "--check" in arguments and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python charts/generate.py\n")
        return 1
    return 0


def _section(model: BaseModel, depth: int) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        indent, value = "  " * depth, getattr(model, name)
        if depth == 0:
            yield ""
        yield from textwrap.wrap(
            field.description or "",
            WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
        )
        key = f"{indent}{field.alias}:"
        if isinstance(value, BaseModel):
            yield key
            yield from _section(value, depth + 1)
        else:
            yield from _leaf(key, indent, _plain(value))


def _leaf(key: str, indent: str, value: object) -> Iterator[str]:
    if not value or not isinstance(value, list | dict):
        yield f"{key} {json.dumps(value)}"
        return
    yield key
    text = yaml.safe_dump(value, sort_keys=False, width=WIDTH)
    yield from textwrap.indent(text.rstrip("\n"), f"{indent}  ").split("\n")


def _leaves(model: BaseModel, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in type(model).model_fields.items():
        value, path = getattr(model, name), f"{prefix}{field.alias}"
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, json.dumps(_plain(value)).replace("|", "\\|"), field.description or ""


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _bare(node: Any) -> Any:
    """Leave out titles, which only repeat the keys; a property may be called title, though."""
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A key whose name does not fit the pattern would otherwise be taken for any other key.
    shut = {"additionalProperties": False} if "patternProperties" in node else {}
    return shut | {
        key: {name: _bare(item) for name, item in value.items()}
        if key in {"properties", "$defs"}
        else _bare(value)
        for key, value in node.items()
        if key != "title" or not isinstance(value, str)
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
