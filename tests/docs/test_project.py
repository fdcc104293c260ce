"""The copy of the repository in which the pages are tested holds nothing of whoever runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import project


def test_a_readers_clone_has_no_packages_of_ones_own_and_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    for module in ("jobs/adapters/wire.py", "examples/send.py", "handlers/send.py", "shop/jobs/restock.py"):
        (mine / module).parent.mkdir(parents=True)
        (mine / module).touch()
    (mine / "function_app.py").write_text(
        'from jobs.bootstrap import create_app\n\napp = create_app(handlers="shop.jobs")\n'
    )
    monkeypatch.setattr(project, "ROOT", mine)
    clone = project.Project(tmp_path).folder
    assert {path.name for path in clone.iterdir()} == {"jobs", "examples", "function_app.py", ".venv"}
    assert (clone / "jobs" / "adapters" / "wire.py").exists()
    assert "create_app()" in (clone / "function_app.py").read_text()
