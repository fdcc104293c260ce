"""``python -m jobs new handler`` writes a handler and a test that passes, and never over what is there."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.cli.main import main
from jobs.entrypoints.cli.new import new_handler
from jobs.entrypoints.devhost.port import noted_port
from jobs.version import __version__
from tests.support import ROOT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "host.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBS_HANDLERS", raising=False)
    return tmp_path


def tree(folder: Path) -> set[str]:
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(folder).as_posix() for file in files}


def test_the_handler_and_its_test_are_written_and_the_test_passes(folder, capsys):
    assert main(["new", "handler", "SendHTMLMail"], None) == 0
    assert tree(folder) == {
        "host.json", "handlers/__init__.py", "handlers/send_html_mail.py", "tests/handlers/test_send_html_mail.py"
    }  # fmt: skip
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "AzureWebJobsScriptRoot": str(folder)}
    plugin = ("-p", "jobs.testing.plugin")  # which is found by itself in a clone, and where the wheel is installed
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "tests/handlers"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    wrote, _, after = capsys.readouterr().out.partition("\n\n")
    assert wrote.splitlines()[-1] == "wrote tests/handlers/test_send_html_mail.py"
    assert re.search(r"-m pytest tests/handlers/test_send_html_mail\.py", after)
    assert "-m jobs dev" in after
    assert '"handler_name": "SendHTMLMail"' in after


def test_in_a_clone_the_next_steps_are_those_of_make_which_install_what_they_need(folder):
    (folder / "Makefile").touch()
    (folder / "jobs").mkdir()
    lines = new_handler("SendInvoice", folder, ())
    assert "  make test TESTS=tests/handlers/test_send_invoice.py" in lines
    assert "  make run" in lines
    assert not any("-m pytest" in line for line in lines)
    assert "http://127.0.0.1:7071/api/jobs" in lines[-1]


def test_the_command_that_enqueues_has_the_port_that_the_app_is_served_at(folder, monkeypatch):
    assert "PORT ?= 7071" in (ROOT / "Makefile").read_text()  # so a PORT of the environment is the one of make run
    monkeypatch.setenv("PORT", "7099")
    assert "http://127.0.0.1:7071/api/jobs" in new_handler("SendOffer", folder, ())[-1]
    (folder / "Makefile").touch()
    (folder / "jobs").mkdir()
    assert "http://127.0.0.1:7099/api/jobs" in new_handler("SendInvoice", folder, ())[-1]
    with socket.create_server(("127.0.0.1", 0)) as serving:
        port = serving.getsockname()[1]
        with noted_port(folder / ".local", f"http://127.0.0.1:{port}"):
            lines = new_handler("SendLetter", folder, ())
            assert f"http://127.0.0.1:{port}/api/jobs" in lines[-1]
            assert "  make run" not in lines
            serving.close()
            assert "http://127.0.0.1:7099/api/jobs" in new_handler("SendCard", folder, ())[-1]
    assert not list((folder / ".local").iterdir())


def test_what_is_written_passes_the_linter_and_the_formatter_as_your_own_code(folder):
    for file in ("pyproject.toml", "jobs/__init__.py", "jobs/ruff.toml", "jobs/testing/__init__.py", "tests/ruff.toml"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    new_handler("SendInvoice", folder, ())
    for command in (["check"], ["format", "--check"]):
        arguments = [sys.executable, "-m", "ruff", *command, "--no-cache"]
        done = subprocess.run(
            [*arguments, "handlers", "tests"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_it_goes_into_the_package_that_the_app_names_and_not_among_the_samples(folder):
    new_handler("SendInvoice", folder, ("shop.jobs", "crm"))
    assert {"shop/__init__.py", "shop/jobs/__init__.py", "shop/jobs/send_invoice.py"} < tree(folder)
    assert "from shop.jobs.send_invoice import" in (folder / "tests/handlers/test_send_invoice.py").read_text()
    assert (
        "def test_it_succeeds(jobs_harness: JobsHarness)"
        in (folder / "tests/handlers/test_send_invoice.py").read_text()
    )
    lines = new_handler("SendOffer", folder, ("examples",))
    assert (folder / "handlers/send_offer.py").is_file()
    assert "JOBS_HANDLERS=handlers,examples" in lines[-1]


def test_a_package_that_is_there_is_left_as_it_is(folder):
    (folder / "handlers").mkdir()
    (folder / "handlers/__init__.py").write_text("LIMIT = 3\n")
    new_handler("SendInvoice", folder, ("handlers",))
    assert (folder / "handlers/__init__.py").read_text() == "LIMIT = 3\n"


@pytest.mark.parametrize("there", ["handlers/send_invoice.py", "tests/handlers/test_send_invoice.py"])
def test_nothing_is_written_over_and_then_nothing_is_written_at_all(folder, there):
    (folder / there).parent.mkdir(parents=True)
    (folder / there).write_text("mine\n")
    with pytest.raises(ConfigurationError, match=rf"{there} is there already.*choose another name"):
        new_handler("SendInvoice", folder, ())
    assert tree(folder) == {"host.json", there}
    assert (folder / there).read_text() == "mine\n"


@pytest.mark.parametrize(("package", "module"), [("handlers", "handlers.py"), ("shop.jobs", "shop/jobs.py")])
def test_no_package_is_written_over_a_module_whose_handlers_would_be_lost(folder, package, module):
    (folder / module).parent.mkdir(exist_ok=True)
    (folder / module).write_text("# handlers\n")
    before = tree(folder)
    with pytest.raises(ConfigurationError, match=f"{module} is a module.* mv {module} {module[:-3]}/__init__.py"):
        new_handler("SendInvoice", folder, (package,))
    assert tree(folder) == before


def test_a_name_that_another_handler_has_is_refused_with_its_file(folder):
    (folder / "handlers").mkdir()
    (folder / "handlers/mail.py").write_text('@handler(\n    "SendInvoice",\n)\n')
    with pytest.raises(ConfigurationError, match=r"handlers/mail\.py has a handler SendInvoice already"):
        new_handler("SendInvoice", folder, ("handlers",))


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("send-invoice", "write it as SendInvoice"),
        ("send_invoice", "write it as SendInvoice"),
        ("sendInvoice", "write it as SendInvoice"),
        ("Send Invoice", "write it as SendInvoice"),
        ("../SendInvoice", "write it as SendInvoice"),
        ("2Fast", "write it as Fast"),
        ("", "give a name such as SendInvoice"),
        ("123", "give a name such as SendInvoice"),
        ("Größe", "its letters must be ASCII; write it as Groesse"),
        ("Café", "its letters must be ASCII; write it as Cafe"),
        ("送信", "its letters must be ASCII; give a name such as SendInvoice"),
        ("Import", "a name that Python or the app has taken"),
        ("Handler", "a name that Python or the app has taken"),
        ("Dependencies", "a name that Python or the app has taken"),
        ("Conftest", "a name that Python or the app has taken"),
        ("TestConnection", "call it CheckConnection"),
        ("Tests", "pytest would take TestsArgs for a test"),
        ("Testing", "pytest would take TestingArgs for a test"),
        ("A" * 101, "will not do"),
    ],
)
def test_a_name_that_would_not_work_is_refused_with_one_that_does(folder, capsys, name, mend):
    assert main(["new", "handler", name], None) == 1
    assert mend in capsys.readouterr().err
    assert tree(folder) == {"host.json"}


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"], None)
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"aether-jobs {__version__}\n"
