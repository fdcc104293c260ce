"""CleanupData, on a folder of the test's own. What is old is counted from when the run was due."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from examples.cleanup_data import CleanupDataArgs, cleanup_data
from examples.dependencies import ReportsFolder
from jobs import Cancel, JobContext


@pytest.fixture
def folder(tmp_path: Path, ctx: JobContext) -> ReportsFolder:
    """A folder of files that were written so many days before the run was due."""
    for name, days in {
        "old.csv": 31,
        "unfinished.csv.1f.tmp": 31,
        "recent.csv": 29,
        "future.csv": -1,
        "notes.txt": 400,
        "folder.csv": 400,
    }.items():
        file = tmp_path / name
        if name == "folder.csv":
            file.mkdir()
        else:
            file.write_text("content")
        written = (ctx.scheduled_for - timedelta(days=days)).timestamp()
        os.utime(file, (written, written))
    return ReportsFolder(tmp_path)


def names_in(folder: ReportsFolder) -> set[str]:
    return {file.name for file in folder.path.iterdir()}


def test_it_deletes_old_reports_and_nothing_else(folder: ReportsFolder, ctx: JobContext) -> None:
    cleanup_data(CleanupDataArgs(older_than_days=30), ctx, folder)
    assert names_in(folder) == {"recent.csv", "future.csv", "notes.txt", "folder.csv"}


def test_a_second_attempt_finds_nothing_to_do(folder: ReportsFolder, ctx: JobContext) -> None:
    cleanup_data(CleanupDataArgs(), ctx, folder)
    left = names_in(folder)
    cleanup_data(CleanupDataArgs(), ctx, folder)
    assert names_in(folder) == left


def test_a_folder_that_nothing_was_written_to_yet_is_clean(tmp_path: Path, ctx: JobContext) -> None:
    cleanup_data(CleanupDataArgs(), ctx, ReportsFolder(tmp_path / "missing"))


def test_a_cancelled_job_deletes_nothing_more(folder: ReportsFolder, ctx: JobContext) -> None:
    before = names_in(folder)
    ctx.signal_cancelled()
    with pytest.raises(Cancel):
        cleanup_data(CleanupDataArgs(), ctx, folder)
    assert names_in(folder) == before


@pytest.mark.parametrize("days", [0, -1, "soon"])
def test_a_number_of_days_that_would_delete_everything_is_refused(days: object) -> None:
    with pytest.raises(ValueError, match="older_than_days"):
        CleanupDataArgs.model_validate({"older_than_days": days})
