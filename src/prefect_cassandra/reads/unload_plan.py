"""What an unload writes down before it reads the first row, and after each file and the last one.

Beside the files of a folder that is not finished lies `_unload/`: `plan.json` with the query and
the list of splits, and for each file that is complete a record with its rows, bytes and digest.
`_manifest.json`, written last, holds all of it, and `_unload/` goes.

Names of files and records hold the plan's identifier: what a process of an earlier unload still
writes cannot take the place of what this one has written, nor be counted to it.

While an earlier unload is thrown away, `_unload/leaving.json` lists its files.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.formats import suffix
from prefect_cassandra.reads.ranges import Split, TokenRange

if TYPE_CHECKING:
    from prefect_cassandra.reads.destination import Destination

FOLDER = "_unload"
MANIFEST = "_manifest.json"
_PLAN = f"{FOLDER}/plan.json"
_LEAVING = f"{FOLDER}/leaving.json"
_VERSION = 2
# What `Plan.file` makes.
_FILE = re.compile(r"part-[0-9]{5,}-[0-9a-f]{8}\.")
_SAME = (
    "table",
    "query",
    "parameters",
    "columns",
    "format",
    "compression",
    "numbers",
    "consistency",
)


@dataclass(frozen=True, slots=True)
class Done:
    """One complete file.

    Args:
        file: Its name.
        rows: Rows in it.
        bytes: Its length.
        sha256: Its digest, in hex.
    """

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is unloaded, and in which pieces.

    Args:
        table: `keyspace.table`.
        query: The query for each range; with `parameters` it says which rows and columns.
        parameters: Values of its own markers as CQL sends them, in hex with commas between them: a
            value has one spelling only, whatever Python type it came in.
        columns: Names and CQL types of the columns.
        format: Of the files.
        compression: Of the files.
        numbers: What decimals and varints become.
        consistency: Level of the reads; empty for the session's.
        run_key: Who asked, and for what.
        started: When, as ISO 8601 with a zone.
        splits: The pieces, a file each.
        id: Tells it from all others.
    """

    table: str
    query: str
    parameters: str
    columns: tuple[tuple[str, str], ...]
    format: str
    compression: str
    numbers: str
    consistency: str
    run_key: str
    started: str
    splits: tuple[Split, ...]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def file(self, number: int) -> str:
        """Return the name of a split's file."""
        return f"part-{number:05}-{self.id}{suffix(self.format, self.compression)}"

    def same_content(self, other: Plan) -> bool:
        """Tell whether files of one plan can lie beside files of the other."""
        return all(getattr(self, name) == getattr(other, name) for name in _SAME)

    def to_json(self) -> dict[str, Any]:
        """Return it for a file."""
        held = asdict(self) | {"version": _VERSION}
        held["splits"] = [
            {
                "ranges": [[one.start, one.end] for one in split.ranges],
                "replicas": list(split.replicas),
            }
            for split in self.splits
        ]
        return held

    @classmethod
    def from_json(cls, held: Any, where: str) -> Self:
        """Return the plan that a file holds.

        Raises:
            ConfigurationError: The file holds none.
        """
        try:
            fields = {name: held[name] for name in cls.__slots__}
            fields["columns"] = tuple((name, kind) for name, kind in held["columns"])
            fields["splits"] = tuple(
                Split(
                    tuple(TokenRange(int(start), int(end)) for start, end in split["ranges"]),
                    tuple(split["replicas"]),
                )
                for split in held["splits"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{where} is not the plan of an unload ({error!r}).",
                hint="Unload into another folder, or empty this one.",
            ) from error
        return cls(**fields)


class Progress:
    """What is on record in a folder.

    Args:
        folder: Where the files lie.
    """

    def __init__(self, folder: Destination) -> None:
        self._folder = folder

    def plan(self) -> Plan | None:
        """Return the plan of the unfinished unload in the folder, if there is one."""
        held = self._folder.read_json(_PLAN)
        return None if held is None else Plan.from_json(held, f"{self._folder.url}/{_PLAN}")

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest of the finished unload in the folder, if there is one."""
        held: dict[str, Any] | None = self._folder.read_json(MANIFEST)
        return held

    def start(self, plan: Plan) -> None:
        """Write the plan down."""
        self._folder.write_json(_PLAN, plan.to_json())

    def done(self, plan: Plan) -> dict[int, Done]:
        """Return the complete files by the number of their split."""
        sizes = self._folder.names()
        found: dict[int, Done] = {}
        for name in self._folder.names(FOLDER):
            if not (name.startswith(f"done-{plan.id}-") and name.endswith(".json")):
                continue
            number = int(name[len(f"done-{plan.id}-") : -len(".json")])
            record = Done(**self._folder.read_json(f"{FOLDER}/{name}"))
            # A file that someone removed or cut is written again.
            if number < len(plan.splits) and sizes.get(record.file) == record.bytes:
                found[number] = record
        return found

    def record(self, plan: Plan, number: int, done: Done) -> None:
        """Take note that a file is complete."""
        self._folder.write_json(f"{FOLDER}/done-{plan.id}-{number:05}.json", asdict(done))

    def owner(self) -> str:
        """Return the identifier of the unload whose files are in the folder; empty for none."""
        plan = self.plan()
        if plan is not None:
            return plan.id
        manifest = self.manifest() or {}
        return str(manifest.get("id", ""))

    def require(self, plan: Plan) -> None:
        """Check that this is still what is being unloaded into the folder.

        Raises:
            ConfigurationError: Another unload was planned meanwhile, or this one was finished.
        """
        found = self.plan()
        if found is None or found.id != plan.id:
            raise ConfigurationError(
                f"{self._folder.url} is no longer where this unload of {plan.table} writes to: "
                f"{'another one took its place' if found else 'somebody finished or removed it'} "
                "meanwhile.",
                hint="Give each unload a folder of its own.",
            )

    def finish(self, plan: Plan, done: dict[int, Done]) -> None:
        """Write the manifest, and remove what only an unfinished unload needs."""
        files = [
            asdict(done[number])
            | {"ranges": [[one.start, one.end] for one in plan.splits[number].ranges]}
            for number in sorted(done)
        ]
        held = plan.to_json() | {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": sum(one.rows for one in done.values()),
            "bytes": sum(one.bytes for one in done.values()),
            "files": files,
        }
        del held["splits"]
        self._folder.write_json(MANIFEST, held)
        # A process of an earlier unload that was killed right after it had published a file.
        mine = {one.file for one in done.values()}
        self._folder.remove(sorted(self._files() - mine))
        self._folder.remove_folder(FOLDER)

    def left(self) -> frozenset[str]:
        """Return the files that belong to an unload that is planned, finished or being removed."""
        leaving = self._folder.read_json(_LEAVING)
        manifest, plan = self.manifest(), self.plan()
        if all(one is None for one in (leaving, manifest, plan)):
            return frozenset()
        of_manifest = {one["file"] for one in manifest["files"]} if manifest else set()
        return self._files() | of_manifest | set(leaving or ())

    def clear(self) -> None:
        """Remove what an earlier unload left, and nothing else: its files, records, manifest.

        Which files these are stays on record until they are gone, so that it can be cut off.
        """
        names = sorted(self.left())
        if names:
            self._folder.write_json(_LEAVING, names)
        self._folder.remove([MANIFEST])
        self._folder.remove(names)
        self._folder.remove_folder(FOLDER)

    def _files(self) -> frozenset[str]:
        """Return the files in the folder that are named as an unload names them."""
        return frozenset(name for name in self._folder.names() if _FILE.match(name))
