"""Files as the input of a load: which ones they are, and in what form.

A file, a folder, a glob or several of these, on any file system that fsspec knows. Files may be
larger than memory: they are read as a stream, a little ahead of what is being written.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence  # noqa: TC003 -- pydantic reads the annotations of a flow
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.sources import Part

Format = Literal["csv", "json", "parquet", "arrow"]

FORMATS: tuple[Format, ...] = ("csv", "json", "parquet", "arrow")


@dataclass(frozen=True, slots=True)
class Files:
    """Files to load.

    Args:
        urls: A file, a folder, a glob such as `s3://bucket/2013/*.csv.gz`, or several of these; a
            plain path is local. Of a folder all files below it are taken that have a name this
            package knows, hidden ones left out. Files come in the order of their names.
        format: Of the files; told from their names when absent. `csv`, `json` (one JSON object a
            line), `parquet` or `arrow` (an IPC file).
        delimiter: Between the cells of CSV; a tab for `.tsv` and a comma for the rest when absent.
        quote: Around cells of CSV that hold delimiters, quotes (doubled) or line breaks.
        null_marks: What stands for a missing value in CSV when it is not quoted.
        names: Columns of CSV files that have no header.
        rename: Columns of the table by columns of the file, where their names differ.
        skip: Columns of the file that are not wanted.
        storage_options: For fsspec, to open the URLs.

    Raises:
        ConfigurationError: A value is none of the allowed ones.
    """

    urls: str | Sequence[str]
    format: Format | None = None
    delimiter: str | None = None
    quote: str = '"'
    null_marks: Sequence[str] = ("",)
    names: Sequence[str] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    skip: Sequence[str] = ()
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if value is not None and (len(value) != 1 or not value.isascii()):
                raise ConfigurationError(
                    f"{name}={value!r} is not one ASCII character.",
                    hint="Give one character, such as a comma or a tab.",
                )
        if self.format is not None and self.format not in FORMATS:
            raise ConfigurationError(
                f"format={self.format!r} is not known.", hint=f"Use {', '.join(FORMATS)}."
            )
        for name in ("null_marks", "names", "skip"):
            if isinstance(getattr(self, name), str):
                raise ConfigurationError(f"{name} is one text.", hint="Give a list of texts.")

    def split(self, pieces: int) -> list[Files]:
        """Return at most so many groups of about the same number of bytes, for tasks of their own.

        Raises:
            ConfigurationError: There are no files, or not all have one known format.
            UnreachableError: Their store does not answer.
        """
        from prefect_cassandra.writes.finding import found  # noqa: PLC0415 -- brings pyarrow in

        groups: list[tuple[int, int, list[str]]] = [(0, n, []) for n in range(max(1, pieces))]
        # The largest file goes to the smallest group; equal groups take turns.
        for file in sorted(found(self), key=lambda file: -file.size):
            size, n, urls = groups.pop(0)
            bisect.insort(groups, (size + file.size, n, [*urls, file.url]))
        return [
            replace(self, urls=sorted(urls))
            for _, _, urls in sorted(groups, key=lambda group: group[1])
            if urls
        ]

    def parts(self, table: TableInfo) -> Iterator[Part]:
        """Yield the rows for a table; first, of every file, a part that shows its columns.

        So a file whose columns do not fit is found before the first row of any is written.

        Raises:
            ConfigurationError: There are no files, or one cannot be opened.
            DataError: A file is not what its format says; names it and, where it can, the row.
        """
        from prefect_cassandra.writes.finding import found  # noqa: PLC0415 -- brings pyarrow in
        from prefect_cassandra.writes.formats import rows, shapes  # noqa: PLC0415 -- the same

        files = found(self)
        yield from shapes(files, self, table)
        yield from rows(files, self, table)
