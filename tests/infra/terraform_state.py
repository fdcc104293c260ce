"""A deployment by the real Terraform on a played Azure, with a state that is kept between its applies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.infra.terraform_files import FOLDER

_ASKED_FOR = {
    "resource_group_name": "jobs",
    "alert_email": "oncall@example.com",
    "database_admin_name": "jobs admins@example.com",
    "database_admin_object_id": "33333333-3333-3333-3333-333333333333",
}


class Deployed:
    """A copy of ``infra/terraform`` with its state."""

    def __init__(self, run: Callable[..., CompletedProcess[str]], folder: Path) -> None:
        shutil.copytree(FOLDER.parent, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        self._run = run
        self._folder = folder / "terraform"

    def apply(self, **given: Any) -> None:
        """Apply; what is refused is an assertion."""
        done = self._terraform("apply", "-auto-approve", given=given)
        assert done.returncode == 0, done.stderr

    def refused(self, **given: Any) -> str:
        """Plan what cannot be; gives what is told."""
        done = self._terraform("plan", given=given)
        assert done.returncode == 1, done.stdout
        return " ".join(done.stderr.split())

    def changes(self, **given: Any) -> dict[str, str]:
        """Plan: what is to be done to which resource. Nothing where everything is as it is written."""
        done = self._terraform("plan", "-json", given=given)
        assert done.returncode == 0, done.stdout
        said = [json.loads(line) for line in done.stdout.splitlines()]
        [summary] = [one["changes"] for one in said if one["type"] == "change_summary"]
        planned = {
            one["change"]["resource"]["addr"]: one["change"]["action"]
            for one in said
            if one["type"] == "planned_change" and one["change"]["action"] != "read"
        }
        assert sum(summary[kind] for kind in ("add", "change", "remove")) >= len(planned)
        return planned

    def azure_changes(self, kind: str, change: Callable[[dict[str, Any]], None], name: str = "") -> None:
        """Have a resource changed without Terraform, by Azure or by a person."""
        path = self._folder / "terraform.tfstate"
        state = json.loads(path.read_text())
        [resource] = [one for one in state["resources"] if one["type"] == kind and name in {"", one["name"]}]
        for instance in resource["instances"]:
            change(instance["attributes"])
        path.write_text(json.dumps(state))

    def _terraform(self, command: str, *options: str, given: dict[str, Any]) -> CompletedProcess[str]:
        values = self._folder / "given.tfvars.json"
        values.write_text(json.dumps(_ASKED_FOR | given))
        return self._run(command, "-input=false", "-no-color", f"-var-file={values}", *options, folder=self._folder)
