"""A process that makes loading processes: each is there at once, because all is imported by then.

It reads a line of JSON for each loader, see `Loader`, forks, and prints the loader's number. A
loader prints how it ended: its number and the name of the error, or `done`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.ledger import blocks, load_store
from prefect_cassandra.writes import stamped as stamped_chunks
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from prefect_cassandra.writes.stamped import Stamped
from support.snippets import ROOT
from support.stamped_loader import rows
from support.stamps import WHO

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


@dataclass(frozen=True)
class Loader:
    """What a loading process does.

    Attributes:
        address: Where the node, or a proxy before it, listens.
        port: The same.
        login: Folder of the login.
        table: `keyspace.table`.
        key: Of the load.
        first: Number of the first row.
        stop: Number of the row after the last one.
        value: What their values begin with.
        replace: Whether other content than before is written.
        skew: Seconds by which this machine's clock is wrong.
    """

    address: str
    port: int
    login: str
    table: str
    key: str
    first: int
    stop: int
    value: str = "value"
    replace: bool = False
    skew: float = 0.0

    def run(self) -> None:
        stamped_chunks._MOST_ROWS = CHUNK_ROWS
        set_clock(self.skew)
        config = ClusterConfig(
            contact_points=(self.address,),
            port=self.port,
            only_contact_points=True,
            login=Login(folder=Path(self.login)),
        )
        kept = Stamped(self.key, WHO, replace=self.replace)
        load(Session(config), self.table, self.batches, LoadOptions(stamped=kept))

    def batches(self) -> Iterator[pa.Table]:
        """Return the rows in pieces that are smaller than a chunk."""
        for first in range(self.first, self.stop, 2_000):
            yield rows(first, min(self.stop, first + 2_000), self.value)


def set_clock(skew: float) -> None:
    """Let this process have the wrong time; time that only goes on stays right."""
    now = time.time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Self:
            right = datetime.now(tz)  # type: ignore[arg-type]
            return cls.fromtimestamp((right + timedelta(seconds=skew)).timestamp(), right.tzinfo)

    time.time = lambda: now() + skew
    for module in (blocks, load_store):
        module.datetime = Wrong  # type: ignore[attr-defined]


@dataclass
class Nursery:
    """The process, for those who start it. Use it in a `with` block."""

    process: subprocess.Popen[str] = field(init=False)
    ended: dict[int, str] = field(default_factory=dict)
    _started: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.load_nursery"],
            cwd=ROOT / "tests",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_args: object) -> None:
        with self.process:  # closes its pipes, upon which it ends
            pass

    def start(self, loader: Loader) -> int:
        """Start a loading process and return its number."""
        self._stdin.write(json.dumps(asdict(loader)) + "\n")
        self._stdin.flush()
        while not (line := self._line()).startswith("started "):
            self._note(line)
        return int(line.split()[1])

    def outcome(self, number: int) -> str:
        """Wait until a loader ends by itself, and return how."""
        while number not in self.ended:
            self._note(self._line())
        return self.ended.pop(number)

    def _note(self, line: str) -> None:
        number, how = line.split()
        self.ended[int(number)] = how

    @property
    def _stdin(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the nursery has ended"
        return line


def main() -> int:
    # Nobody waits for the loaders: the system clears them away when they end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        number = os.fork()
        if not number:
            _child(Loader(**json.loads(line)))
        _say(f"started {number}")
    return 0


def _child(loader: Loader) -> None:
    how = "done"
    try:
        loader.run()
    except PrefectCassandraError as error:
        how = type(error).__name__
    except BaseException as error:  # noqa: BLE001 -- the test judges it
        how = f"{type(error).__name__}!"
    _say(f"{os.getpid()} {how}")
    os._exit(0)


def _say(line: str) -> None:
    # One write, so that lines of several processes stay whole.
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
