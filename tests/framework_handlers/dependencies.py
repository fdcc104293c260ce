"""The services of these handlers: mail and reports, each a file in a folder that the environment names."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jobs import provider


class EmailSender(Protocol):
    def send(self, *, to: str, subject: str, body: str, message_id: str) -> None: ...


class Outbox:
    def send(self, *, to: str, subject: str, body: str, message_id: str) -> None:
        file = Path(os.environ["SAMPLE_OUTBOX"])
        with file.open("a") as outbox:
            outbox.write(f"{message_id} {to} {subject} {body}\n")


@dataclass(frozen=True)
class ReportsFolder:
    path: Path


class ReportStore(Protocol):
    def save(self, name: str, content: str) -> None: ...


class ReportFiles:
    def __init__(self, folder: ReportsFolder) -> None:
        self._folder = folder.path

    def save(self, name: str, content: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_text(content)


@provider
def email_sender() -> EmailSender:
    return Outbox()


@provider
def reports_folder() -> ReportsFolder:
    return ReportsFolder(Path(os.environ["SAMPLE_REPORTS"]))


@provider
def report_store(folder: ReportsFolder) -> ReportStore:
    return ReportFiles(folder)
