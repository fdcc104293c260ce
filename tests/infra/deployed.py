"""Which files reach a deployment, as each tool that packs one reads its file of what to leave behind."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pathspec

ROOT = Path(__file__).parents[2]


def tracked() -> set[str]:
    """The files of the repository, as a clone has them."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {file for file in listed.stdout.splitlines() if (ROOT / file).exists()}


def let_through(ignore_file: str, files: Iterable[str]) -> set[str]:
    """The files that Docker sends to the builder: patterns hold from the root, for all below, and the last one wins."""
    kept = files = set(files)
    for line in ignore_file.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        body = "".join(
            {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}.get(part, re.escape(part))
            for part in re.split(r"(\*\*/|\*\*|\*)", pattern.removeprefix("!").rstrip("/"))
        )
        matching = {file for file in files if re.fullmatch(f"{body}(?:/.*)?", file)}
        kept = kept | matching if pattern.startswith("!") else kept - matching
    return kept


def packed_as_git_would(ignore_file: str, files: Iterable[str]) -> set[str]:
    """The files that azd and GitHub's action for Functions pack, which read .funcignore as git reads .gitignore."""
    ignored = pathspec.GitIgnoreSpec.from_lines(ignore_file.splitlines())
    return {file for file in files if not ignored.match_file(file)}


def packed_by_core_tools(ignore_file: str, files: Iterable[str]) -> set[str]:
    """The files that ``func azure functionapp publish`` packs.

    Core Tools make one expression of the lines, each held to the beginning of a path and to the end of a word, in which
    a star is one character or more; lines with ``!`` make another, which wins wherever they stand.
    """
    lines = [line.strip() for line in ignore_file.splitlines() if line.strip() and not line.startswith("#")]

    def expression(patterns: Iterable[str]) -> re.Pattern[str]:
        parts = [re.escape(pattern.removeprefix("/")).replace(r"\*\*", "(.+)") for pattern in patterns]
        return re.compile("^(?:" + "|".join(part.replace(r"\*", "([^/]+)") for part in parts) + r")\b", re.ASCII)

    left = expression(line for line in lines if not line.startswith("!"))
    kept = expression(line.removeprefix("!") for line in lines if line.startswith("!"))
    own = (".git/", ".vscode/", ".funcignore", ".gitignore", "local.settings.json")  # which it never packs
    return {file for file in files if not file.startswith(own) and (kept.match(file) or not left.match(file))}
