"""The README's settings table says what the code reads."""

from __future__ import annotations

import re

from jobs.settings import Settings, settings_table
from tests.support import ROOT

README = ROOT / "README.md"


def test_the_readme_lists_every_setting_with_its_default_and_description() -> None:
    [table] = re.findall(r"<!-- settings -->\n(.*?)<!-- /settings -->", README.read_text(), re.DOTALL)
    assert table == settings_table()


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
