"""What the UI shows of a load: its progress while it runs, its numbers and rejects at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from prefect_cassandra.tasks.artifacts import artifact_key
from prefect_cassandra.tasks.following import run_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from prefect_cassandra.writes.report import LoadReport

# Their dispatcher takes `_sync`, of which their types know nothing. It is needed on the thread that
# an asynchronous load sends from.
_create: Any = create_progress_artifact
_update: Any = update_progress_artifact


def table_artifacts(report: LoadReport) -> list[dict[str, Any]]:
    """Return the arguments of the table artifacts that tell what a load did."""
    numbers = {
        "rows": report.rows,
        "bytes": report.bytes,
        "rows/s": round(report.rows_per_second),
        "seconds": round(report.seconds, 2),
        "requests": report.requests,
        "sent again": report.retries,
        "merged": report.merged,
        "rejected": report.rejected,
    }
    done = [
        {"key": artifact_key("load", report.table), "table": [numbers], "description": str(report)}
    ]
    if report.rejects:
        rows = [
            {"file": one.file, "row": one.row, "column": one.column, "reason": one.reason}
            for one in report.rejects
        ]
        description = (
            f"{report.rejected:,} rows of {report.rows + report.rejected:,} were not written into "
            f"`{report.table}`; the first {len(rows)} are listed."
        )
        where = artifact_key("rejected", report.table)
        done.append({"key": where, "table": rows, "description": description})
    return done


def follower(total: int | None) -> Callable[[LoadReport], None]:
    """Return what logs the progress of a load and, where the total is known, shows it in the UI.

    Args:
        total: Rows of the input; None when nobody knows them yet.
    """
    logger = run_logger()
    shown: list[UUID] = []

    def follow(report: LoadReport) -> None:
        logger.info("%s, going on", report)
        if not total or TaskRunContext.get() is None:
            return
        done = min(100.0, 100.0 * (report.rows + report.merged + report.rejected) / total)
        try:
            if shown:
                _update(shown[0], done, str(report), _sync=True)
            else:
                where = artifact_key("loading", report.table)
                shown.append(_create(done, where, str(report), _sync=True))
        except Exception as error:  # noqa: BLE001 -- rows are being written; a bar in the UI is extra
            logger.warning("The progress could not be shown as an artifact: %s", error)

    return follow


def known_rows(data: object) -> int | None:
    """Return how many rows an input holds, when it tells without being read."""
    rows = getattr(data, "num_rows", None)
    if rows is None and hasattr(data, "columns") and hasattr(data, "__len__"):
        rows = len(data)  # a frame
    return rows if isinstance(rows, int) else None
