"""Two things that MkDocs has no setting for: the order of the folders, and links to Markdown outside ``docs/``.

On GitHub a page may link to ``../infra/README.md``. The site has no such page unless it is brought in, so the Markdown
files that stand elsewhere in the repository become pages of it, at the paths that the links name.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

FOLDERS = ("tutorial", "how-to", "reference", "explanation", "troubleshooting", "decisions")
OUTSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "infra/README.md")
_BROUGHT_IN = "repository"
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the folders in the order in which a newcomer reads them, each with its index first."""
    docs = Path(config.docs_dir)
    loose = sorted(path.name for path in docs.glob("*.md") if path.name != "index.md")
    home = ["index.md"] if (docs / "index.md").is_file() else []
    config.nav = [*home, *({_title(name): _pages(docs, name)} for name in FOLDERS if (docs / name).is_dir()), *loose]
    config.nav.append({"Repository": [_place(name) for name in _present(docs)]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring in the Markdown files from outside ``docs/``."""
    root = Path(config.docs_dir).parent
    for name in _present(Path(config.docs_dir)):
        text = (root / name).read_text()
        files.append(File.generated(config, _place(name), content=_relinked(text, name, root, name.endswith(".md"))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Point the links of a page of ``docs/`` that lead out of it to where their targets were brought in."""
    source = page.file.src_uri
    return markdown if source.startswith(f"{_BROUGHT_IN}/") else _led_in(markdown, source, Path(config.docs_dir))


def _present(docs: Path) -> list[str]:
    return [name for name in OUTSIDE if (docs.parent / name).is_file()]


def _place(name: str) -> str:
    path = name if name.endswith(".md") else f"{name}.md"
    return f"{_BROUGHT_IN}/{path.replace('/README', '').replace('README', 'readme')}"


def _title(folder: str) -> str:
    return folder.replace("-", " ").capitalize()


def _pages(docs: Path, folder: str) -> list[str]:
    names = sorted(path.relative_to(docs).as_posix() for path in (docs / folder).glob("*.md"))
    return sorted(names, key=lambda name: not name.endswith("/index.md"))


def _led_in(markdown: str, source: str, docs: Path) -> str:
    """Rewrite links out of ``docs/``. One to a file that is no page keeps its words and loses its address."""
    present = _present(docs)

    def led_in(found: re.Match[str]) -> str:
        target = normpath(join("docs", dirname(source), found[2]))
        if "://" in found[2] or found[2].startswith("mailto:") or target.startswith("docs/"):
            return found[0]
        return f"{found[1]}{_back(source)}{_place(target)}{found[3]}" if target in present else f"{found[1]}#)"

    return _LINK.sub(led_in, markdown)


def _relinked(text: str, name: str, root: Path, markdown: bool) -> str:  # noqa: FBT001
    if not markdown:
        return f"# {name.capitalize()}\n\n```text\n{text}\n```\n"
    present = _present(root / "docs")

    def led_in(found: re.Match[str]) -> str:
        target = normpath(join(dirname(name), found[2]))
        if "://" in found[2] or found[2].startswith("mailto:"):
            return found[0]
        if target in present:
            return f"{found[1]}{_back(_place(name))}{_place(target)}{found[3]}"
        if target.startswith("docs/") and target.endswith(".md"):
            return f"{found[1]}{_back(_place(name))}{target.removeprefix('docs/')}{found[3]}"
        return f"{found[1]}#)"

    return _LINK.sub(led_in, text)


def _back(source: str) -> str:
    return "../" * source.count("/")
