"""Which packages an app's handlers are looked for in."""

from __future__ import annotations

import pytest

from jobs.core.errors import ConfigurationError
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.loading.which_packages import app_folder, packages_in, which_packages

MARKED = """
    from pydantic import BaseModel
    from jobs import handler

    class Args(BaseModel): ...

    @handler("{name}")
    def {name}(args: Args) -> None: ...
"""


@pytest.fixture
def folder(tmp_path):
    """An app's folder, with the two lines of function_app.py."""
    (tmp_path / "host.json").write_text("{}")
    (tmp_path / "function_app.py").write_text("from jobs.bootstrap import create_app\n\napp = create_app()\n")
    return tmp_path


def with_package(folder, *names):
    for name in names:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")


def named_in(folder, argument):
    (folder / "function_app.py").write_text(f"from jobs import bootstrap\napp = bootstrap.create_app({argument})\n")
    return which_packages((), folder)


def test_the_users_own_package_goes_before_the_samples_and_the_samples_before_nothing(folder):
    assert which_packages((), folder) == ()
    with_package(folder, "examples")
    assert which_packages((), folder) == ("examples",)
    with_package(folder, "handlers")
    assert which_packages((), folder) == ("handlers",)


def test_a_folder_that_holds_only_what_python_has_cached_is_no_package(folder):
    with_package(folder, "examples")
    (folder / "handlers" / "__pycache__").mkdir(parents=True)
    (folder / "handlers" / "__pycache__" / "mail.cpython-313.pyc").write_bytes(b"")
    assert which_packages((), folder) == ("examples",)


@pytest.mark.parametrize(
    ("argument", "packages"),
    [
        ('handlers="shop.jobs"', ("shop.jobs",)),
        ('handlers="shop.jobs, crm"', ("shop.jobs", "crm")),
        ('handlers=["shop.jobs", "crm"]', ("shop.jobs", "crm")),
        ("handlers=()", ("handlers",)),
        ("handlers=None", ("handlers",)),
    ],
)
def test_what_function_app_names_is_what_every_command_loads(folder, argument, packages):
    with_package(folder, "handlers")
    assert named_in(folder, argument) == packages


def test_what_is_named_goes_before_what_function_app_names(folder):
    named_in(folder, 'handlers="shop.jobs"')
    assert which_packages(["crm"], folder) == ("crm",)


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("handlers=PACKAGE", r"function_app\.py:2: .* is no plain text.*JOBS_HANDLERS"),
        ('handlers="shop/jobs"', r"function_app\.py:2: .*'shop/jobs' is not the name of a package; write it with dots"),
        ("handlers=3", "is no plain text"),
    ],
)
def test_what_no_command_can_read_there_is_refused_with_its_line_and_the_mend(folder, argument, why):
    with pytest.raises(ConfigurationError, match=why):
        named_in(folder, argument)


def test_a_function_app_that_cannot_be_read_is_left_to_whoever_runs_it(folder):
    with_package(folder, "handlers")
    assert named_in(folder, "handlers=(") == ("handlers",)


def test_several_packages_are_named_with_commas_and_each_once():
    assert packages_in(" shop.jobs , crm,shop.jobs,") == ("shop.jobs", "crm")
    assert packages_in("") == ()


def test_the_apps_folder_is_the_hosts_and_else_one_that_python_imports_from(folder, monkeypatch):
    assert app_folder({"AzureWebJobsScriptRoot": str(folder)}) == folder
    monkeypatch.setattr("jobs.core.handlers.loading.which_packages.__file__", "/nowhere/a/b/c/d/e.py")
    monkeypatch.chdir("/")
    monkeypatch.setattr("sys.path", ["/nowhere", str(folder)])
    assert app_folder({}) == folder


# --- loading them


def test_the_handlers_of_several_packages_are_one_apps(write):
    first, second = write(a=MARKED.format(name="First")), write(b=MARKED.format(name="Second"))
    registry = load_handlers([first, second, f"{first}.a"])
    assert [spec.name for spec in registry.all()] == ["First", "Second"]


def test_no_package_is_an_app_without_handlers():
    assert load_handlers(()).all() == []


def test_tests_beside_the_handlers_are_not_imported_with_them(write, tmp_path):
    package = write(
        mail=MARKED.format(name="Mail"), test_mail="raise AssertionError\n", conftest="raise AssertionError\n"
    )
    [folder] = tmp_path.rglob(package)
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").write_text("raise AssertionError\n")
    (folder / "tests" / "test_it.py").write_text("@handler('X')\ndef x(): ...\n")
    registry = load_handlers(package)
    assert [spec.name for spec in registry.all()] == ["Mail"]
    assert registry.warnings == []


def test_a_handler_in_a_module_that_is_called_like_a_test_is_not_lost(write):
    assert [spec.name for spec in load_handlers(write(test_connection=MARKED.format(name="TestConnection"))).all()] == [
        "TestConnection"
    ]
