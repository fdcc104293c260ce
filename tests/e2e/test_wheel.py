"""The framework as a wheel: an app of two lines and one handler beside it is found, tested, migrated and served."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import pytest

from jobs.testing.postgres.folder import server_parent
from jobs.version import __version__
from tests.e2e.clones import Folder, fresh_clone, wait_for_line
from tests.support import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed; `make test` installs it"),
]

FUNCTION_APP = "from jobs.bootstrap import create_app\n\napp = create_app()\n"
INDEX = """
    import asyncio, json
    from types import SimpleNamespace
    from tests.e2e import test_conformance as conformance

    conformance.ROOT = {folder!r}
    worker = conformance.load_app()
    assert worker.answer.result.status == conformance.StatusResult.Success, worker.answer.result
    import function_app, jobs
    print(json.dumps({{"functions": sorted(worker.functions), "app": function_app.__file__, "jobs": jobs.__file__}}))
    conformance.threadpool.stop_threadpool_executor()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short path, since it holds a Postgres with its socket."""
    with TemporaryDirectory(prefix="jobs-", dir=server_parent(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    """The wheel, built of this checkout by the project's own build backend."""
    clone = fresh_clone(folder / "clone")
    clone.python("-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist"))
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def app(folder: Path, wheel: Path) -> Folder:
    """An empty folder but for an app of two lines and its handler; the wheel is installed in another one."""
    site = folder / "site"
    Folder(folder).python(
        "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(site), str(wheel)
    )
    app = Folder(folder / "app", PYTHONPATH=str(site), JOBS_SCHEDULER="timer")
    app.write({"function_app.py": FUNCTION_APP})
    shutil.copy(ROOT / "host.json", app.folder / "host.json")
    assert "wrote handlers/send_invoice.py" in app.python("-m", "jobs", "new", "handler", "SendInvoice")
    return app


def test_the_wheel_has_the_framework_with_its_migrations_and_types_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"aether_jobs-{__version__}-py3-none-any.whl"
    names = set(ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"jobs", f"aether_jobs-{__version__}.dist-info"}
    assert {"jobs/py.typed", "jobs/testing/plugin.py", "jobs/entrypoints/devhost/run.py"} <= names
    migrations = {str(path.relative_to(ROOT)) for path in (ROOT / "jobs").rglob("migrations/**/*.py")}
    assert migrations
    assert migrations <= names
    dashboard = {str(path.relative_to(ROOT)) for path in (ROOT / "jobs/entrypoints/http/dashboard").rglob("*.[!p]*")}
    assert {path.rpartition(".")[2] for path in dashboard} >= {"html", "css", "js", "svg"}
    assert {path for path in dashboard if "__pycache__" not in path} <= names
    assert not [name for name in names if name.endswith((".pyc", "ruff.toml"))]


def test_the_app_is_read_with_its_handler_and_the_version_is_the_wheels(app: Folder) -> None:
    assert app.python("-m", "jobs", "--version").split() == ["aether-jobs", __version__]
    assert "1 handler in handlers: SendInvoice" in app.python("-m", "jobs", "check")


def test_the_handlers_test_passes_and_has_the_fixtures_without_a_conftest(app: Folder) -> None:
    app.write(
        {
            "tests/handlers/test_by_fixture.py": """
                def test_it_succeeds(jobs_harness):
                    jobs_harness.run_handler("SendInvoice", {"greeting": "Hello"}).check()
            """
        }
    )
    assert "2 passed" in app.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/handlers")
    pytest_alone = str(Path(sys.executable).parent / "pytest")  # which leaves the app's folder off Python's path
    assert "2 passed" in app.run(pytest_alone, "-q", "-p", "no:cacheprovider")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Microsoft's worker library is for Python 3.13 and later")
def test_microsofts_library_finds_its_functions(app: Folder) -> None:
    # The checkout comes after the wheel, and has the half of the host that the tests play.
    path = os.pathsep.join([app.environment["PYTHONPATH"], str(ROOT)])
    beside = Folder(app.folder, PYTHONPATH=path, JOBS_SCHEDULER="timer", JOBS_KEY_ROLE="manage")
    found = json.loads(beside.python("-c", textwrap.dedent(INDEX.format(folder=str(app.folder)))).splitlines()[-1])
    assert {"enqueue_job", "run_due", "reconcile", "health_ready"} <= set(found["functions"])
    assert found["app"] == str(app.folder / "function_app.py")
    assert found["jobs"].startswith(str(app.folder.parent / "site"))


def test_it_migrates_a_database_of_its_own_and_serves_its_demo(app: Folder, folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    with app.served(data) as log:
        wait_for_line(r"welcome +Completed", log)
    assert "1 handler in handlers: SendInvoice" in log.read_text()
