"""Which files are looked at for a reload, and what counts as a change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.entrypoints.devhost.reload.changes import Changes


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for file in ("function_app.py", "shop/__init__.py", "shop/deep/send.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("1\n")
    return tmp_path


def test_nothing_has_changed_at_first_and_each_change_is_told_once(app):
    changes = Changes(app)
    assert changes.since_last_time() == []
    (app / "shop/deep/send.py").write_text("12\n")
    (app / "function_app.py").write_text("12\n")
    assert changes.since_last_time() == ["function_app.py", "shop/deep/send.py"]
    assert changes.since_last_time() == []


def test_a_change_that_keeps_the_size_is_seen_by_its_time(app):
    changes = Changes(app)
    os.utime(app / "function_app.py", ns=(1, 1))
    assert changes.since_last_time() == ["function_app.py"]


def test_a_file_that_an_editor_puts_in_place_of_another_is_a_change(app):
    changes = Changes(app)
    (app / "new").write_text("other\n")
    (app / "new").replace(app / "function_app.py")
    assert changes.since_last_time() == ["function_app.py"]


def test_a_package_that_is_made_meanwhile_and_one_that_is_removed_are_seen(app):
    changes = Changes(app)
    (app / "handlers").mkdir()
    (app / "handlers/invoice.py").write_text("")
    (app / "shop/deep/send.py").unlink()
    (app / "shop/deep").rmdir()
    assert changes.since_last_time() == ["handlers/invoice.py", "shop/deep/send.py"]


@pytest.mark.parametrize(
    "file",
    [".local/x.py", ".venv/lib/x.py", "tests/test_x.py", "shop/__pycache__/x.py", "env/lib/x.py", "shop/notes.txt"],
)
def test_tests_environments_hidden_folders_and_other_files_are_none_of_its_business(app, file):
    (app / "env").mkdir()
    (app / "env/pyvenv.cfg").write_text("")
    changes = Changes(app)
    (app / file).parent.mkdir(parents=True, exist_ok=True)
    (app / file).write_text("")
    assert changes.since_last_time() == []


def test_a_package_of_yours_may_have_folders_called_as_those_of_a_clone_that_hold_no_code(app):
    changes = Changes(app)
    for file in ("shop/infra/mail.py", "shop/docs/pages.py", "infra/generate.py", "docs/hooks.py"):
        (app / file).parent.mkdir(parents=True, exist_ok=True)
        (app / file).write_text("")
    assert changes.since_last_time() == ["shop/docs/pages.py", "shop/infra/mail.py"]


def test_a_linked_package_is_looked_at_and_a_link_in_a_circle_ends(app, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mail.py").write_text("1\n")
    (app / "shop/linked").symlink_to(elsewhere, target_is_directory=True)
    (app / "shop/circle").symlink_to(app, target_is_directory=True)
    changes = Changes(app)
    (elsewhere / "mail.py").write_text("12\n")
    assert changes.since_last_time() == ["shop/linked/mail.py"]


def test_a_linked_folder_of_data_is_not_walked_through(app, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    (data / "deep").mkdir()
    (app / "data").symlink_to(data, target_is_directory=True)
    (app / "gone").symlink_to(data / "gone", target_is_directory=True)
    changes = Changes(app)
    (data / "deep/script.py").write_text("")
    assert changes.since_last_time() == []
