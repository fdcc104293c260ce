"""What you do with a clone breaks none of its tests: write handlers, delete the samples, add packages, upgrade.

The whole suite in each of these clones would take hours. What handlers and packages could break is the collection of it
all, the linters, the tests of what is deployed, those of where handlers are found, and their own: those are run. All
other tests name ``tests.framework_handlers`` as their handlers. One test here sees to that: it leaves a package behind
that cannot be imported at all. ``make lint`` runs mypy too, on ``jobs/`` and ``function_app.py`` alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobs.testing.postgres.folder import server_parent
from tests.docs.blocks import block
from tests.e2e.clones import Clone, fresh_clone, wait_for_line

pytestmark = pytest.mark.slow

OF_WHERE_HANDLERS_ARE = (
    "tests/unit/core/handlers/loading/test_which_packages.py",
    "tests/infra/test_what_is_deployed.py",
)
OF_WHAT_ELSE_READS_THEM = (
    "tests/unit/entrypoints/cli/test_new.py",
    "tests/unit/test_distribution.py",
    "tests/infra/test_image.py",
    "tests/infra/test_azd.py",
)
THAT_LOAD_HANDLERS = (  # within the tests' process, as the host does it, and as a command
    "tests/unit/test_startup.py::test_the_log_of_the_start_lists_the_handlers_in_one_line",
    "tests/unit/test_startup.py::test_an_app_that_works_lists_its_handlers_there",
    "tests/unit/entrypoints/cli/test_local_settings.py::test_a_machine_with_such_a_file_is_a_developers",
)
SHOP = {
    "shop/__init__.py": "",
    "shop/stock.py": "def pieces_of(item):\n    return len(item)\n",
    "shop/jobs/__init__.py": "",
    "shop/jobs/restock.py": """\
        from pydantic import BaseModel

        from jobs import JobContext, handler
        from shop.stock import pieces_of


        class RestockArgs(BaseModel):
            item: str


        @handler("Restock")
        def restock(args: RestockArgs, ctx: JobContext) -> None:
            ctx.result = {"pieces": pieces_of(args.item)}
        """,
    "shop/tests/test_restock.py": """\
        from jobs.testing import JobsHarness


        def test_the_app_has_this_handler():
            with JobsHarness() as jobs:
                assert jobs.run_handler("Restock", {"item": "chair"}).check().result == {"pieces": 5}
        """,
    "function_app.py": """\
        from jobs.bootstrap import create_app

        app = create_app(handlers="shop.jobs")
        """,
}
WITH_LIBRARIES = {
    "handlers/__init__.py": "",
    "handlers/sync_orders.py": """\
        from collections.abc import Iterator

        import httpx
        import sqlalchemy as sa
        from pydantic import BaseModel

        from jobs import JobContext, handler, provider


        class SyncOrdersArgs(BaseModel):
            shop: str


        @provider(scope="app")
        def client() -> Iterator[httpx.Client]:
            with httpx.Client(base_url="https://shop.example") as client:
                yield client


        @handler("SyncOrders")
        def sync_orders(args: SyncOrdersArgs, ctx: JobContext, client: httpx.Client) -> None:
            orders = client.get(f"/{args.shop}/orders").json()
            with ctx.unit_of_work() as uow:
                for order in orders:
                    uow.connection.execute(sa.text("insert into orders values (:id)"), {"id": order})
                uow.commit()
        """,
    "tests/handlers/conftest.py": """\
        import httpx
        import pytest
        import sqlalchemy as sa


        @pytest.fixture(scope="session")
        def jobs_postgres_setup():
            return lambda connection: connection.execute(sa.text("create table orders (id integer primary key)"))


        @pytest.fixture
        def jobs_overrides():
            transport = httpx.MockTransport(lambda _: httpx.Response(200, json=[1, 2]))
            return {httpx.Client: httpx.Client(base_url="https://shop.example", transport=transport)}
        """,
    "tests/handlers/test_sync_orders.py": """\
        import sqlalchemy as sa


        def test_the_orders_are_kept(jobs_postgres):
            jobs_postgres.run_handler("SyncOrders", {"shop": "a"}).check()
            with jobs_postgres.transaction() as connection:
                assert connection.execute(sa.text("select id from orders")).fetchall() == [(1,), (2,)]
        """,
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, since it holds a Postgres with its socket."""
    with TemporaryDirectory(prefix="jobs-", dir=server_parent(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def clone(folder: Path) -> Clone:
    clone = fresh_clone(folder / "clone")
    clone.environment["JOBS_INFRA_CHECK"] = ""  # without tools, though its files are named
    return clone


def passed_in(folders: Sequence[str], said: str) -> int:
    """How many tests in these folders passed, by what pytest said with ``-rp``."""
    return sum(line.startswith(tuple(f"PASSED {folder}/" for folder in folders)) for line in said.splitlines())


def add_the_readmes_handler(clone: Clone) -> None:
    assert "wrote handlers/send_offer.py" in clone.python("-m", "jobs", "new", "handler", "SendOffer")
    clone.write(
        {
            "handlers/send_invoice.py": block("README.md", '@handler("SendInvoice")'),
            "tests/handlers/test_send_invoice.py": block("README.md", "def test_an_invoice_is_sent"),
        }
    )


def delete_the_samples(clone: Clone) -> None:
    shutil.rmtree(clone.folder / "examples")


def add_a_package(clone: Clone) -> None:
    clone.write(SHOP | {"tests/shop/test_restock.py": SHOP["shop/tests/test_restock.py"]})


def add_a_handler_with_libraries(clone: Clone) -> None:
    clone.write(WITH_LIBRARIES)


def do_all_of_it(clone: Clone) -> None:
    add_the_readmes_handler(clone)
    add_a_handler_with_libraries(clone)
    add_a_package(clone)
    clone.write({"function_app.py": SHOP["function_app.py"].replace('"shop.jobs"', '["shop.jobs", "handlers"]')})
    clone.write({"prices.csv": "wheel,7\n", "money.py": '"""Money."""\n\nVAT = 19\n', "data/NOTES.md": "# Notes\n"})
    delete_the_samples(clone)


@pytest.mark.parametrize(
    ("change", "handlers", "own_tests"),
    [
        (add_the_readmes_handler, "2 handlers in handlers: SendInvoice, SendOffer", 3),
        (delete_the_samples, "the app has no handlers, so no job can be run: `python -m jobs new handler", 0),
        (add_a_package, "1 handler in shop.jobs: Restock", 2),
        (add_a_handler_with_libraries, "1 handler in handlers: SyncOrders", 1),
    ],
)
def test_the_tests_and_the_linters_pass_after(
    clone: Clone, change: Callable[[Clone], None], handlers: str, own_tests: int
) -> None:
    change(clone)
    clone.environment["JOBS_SCHEDULER"] = "timer"
    assert handlers in clone.python("-m", "jobs", "check")
    clone.python("-m", "ruff", "format", "--no-cache", "--check", ".")
    clone.python("-m", "ruff", "check", "--no-cache", ".")
    tests = ("tests/handlers", "shop/tests", "tests/shop", "examples/tests")
    there = [name for name in tests if (clone.folder / name).is_dir()]
    assert passed_in(tests[:3], clone.test("-rp", *OF_WHERE_HANDLERS_ARE, *there)) == own_tests


def test_every_test_is_collected_and_what_reads_handlers_passes_after_all_of_it(clone: Clone) -> None:
    do_all_of_it(clone)
    collected = clone.test("--collect-only", *(f"--ignore=tests/{each}" for each in ("integration", "infra", "docs")))
    for test in ("tests/handlers/test_send_offer.py", "shop/tests/test_restock.py", "tests/unit/test_startup.py"):
        assert test in collected
    assert "examples/" not in collected
    clone.python("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")
    said = clone.test("-rp", "tests/handlers", "shop/tests", *OF_WHAT_ELSE_READS_THEM)
    assert passed_in(("tests/handlers", "shop/tests"), said) == 5


def test_the_frameworks_tests_never_load_your_handlers(clone: Clone) -> None:
    delete_the_samples(clone)
    clone.write({"handlers/__init__.py": 'raise RuntimeError("loaded")\n'})
    clone.test(*THAT_LOAD_HANDLERS)


def test_the_demo_runs_in_a_clone_without_any_handlers(clone: Clone, folder: Path) -> None:
    delete_the_samples(clone)
    data = folder / "data"
    data.mkdir()
    with clone.served(data) as log:
        wait_for_line(r"welcome +Completed", log)
        wait_for_line(r"demo-every-15-seconds +Scheduled next at \d\d:\d\d:\d\d", log)
    assert "new handler SendInvoice" in log.read_text()


# --- upgrades


def release_of(upstream: Clone) -> None:
    """Commit a release that touches whatever a release may touch."""
    for name in ("README.md", "Makefile", "pyproject.toml", "requirements.in", ".funcignore", "tests/conftest.py"):
        file = upstream.folder / name
        file.write_text(file.read_text() + "\n# of the new release\n")
    upstream.write(
        {"jobs/version.py": '"""The version."""\n\n__version__ = "9.9.9"\n', "jobs/core/added.py": "NEW = 1\n"}
    )
    sample = upstream.folder / "examples/send_email.py"
    sample.write_text(sample.read_text() + "\n# of the new release\n")
    upstream.commit("the next release")


def yours(clone: Clone) -> dict[str, str]:
    """Your files with their content."""
    folders = ("handlers", "tests/handlers", "shop")
    files = [file for name in folders for file in (clone.folder / name).rglob("*") if file.is_file()]
    files += [clone.folder / name for name in ("requirements-app.in", "requirements-app.txt", "function_app.py")]
    return {str(file.relative_to(clone.folder)): file.read_text() for file in files}


@pytest.fixture
def upgraded(folder: Path) -> tuple[Clone, Clone]:
    """The framework's repository, and a clone of it with code of its own."""
    upstream, mine = fresh_clone(folder / "upstream"), Clone(folder / "mine")
    upstream.git("clone", "--quiet", str(upstream.folder), str(mine.folder))
    add_the_readmes_handler(mine)
    add_a_package(mine)
    mine.write({"requirements-app.in": "stripe>=12\n", "requirements-app.txt": "stripe==12.0.0\n"})
    return upstream, mine


def test_an_upgrade_by_merge_touches_no_file_of_yours(upgraded: tuple[Clone, Clone]) -> None:
    upstream, mine = upgraded
    mine.commit("my own")
    before = yours(mine)
    assert len(before) > len(SHOP)
    release_of(upstream)
    mine.git("fetch", "--quiet", "origin")
    mine.git("merge", "--quiet", "--no-edit", "origin/main")
    assert yours(mine) == before
    assert mine.python("-m", "jobs", "--version").split() == ["aether-jobs", "9.9.9"]
    changed = mine.git("diff", "--name-only", "HEAD~1", "HEAD").split()
    assert "jobs/core/added.py" in changed
    assert not {*changed} & {*before}


def test_samples_that_were_deleted_are_the_only_conflict_and_the_guide_says_how_to_go_on(
    upgraded: tuple[Clone, Clone],
) -> None:
    upstream, mine = upgraded
    delete_the_samples(mine)
    mine.commit("my own, without the samples")
    before = yours(mine)
    release_of(upstream)
    mine.git("fetch", "--quiet", "origin")
    mine.git("merge", "--quiet", "--no-edit", "origin/main", fails=True)
    assert mine.git("diff", "--name-only", "--diff-filter=U").split() == ["examples/send_email.py"]
    for line in block("docs/how-to/upgrade.md", "git rm").splitlines():
        mine.git(*line.split("#")[0].split()[1:])
    assert yours(mine) == before
    assert not (mine.folder / "examples").exists()
    assert mine.git("status", "--porcelain") == ""
