"""Makes a site of docs/ and of the files beside it that the documents link to.

Links are written as they work on a page of the repository: `../SECURITY.md`, `../benchmarks/table.py`, `docs/api.md` in
the README. In the site, the README is the home page, and other files that a page links to get pages that show them.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Files beside docs/ that are pages of the site."""

ICON = "static/icon.svg"
SHOWN = "source/"
"""Where the pages are that show files of the program."""

LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".toml": "toml", ".js": "js", ".json": "json", ".sh": "sh"}
CODE_PAGE = "---\nsearch:\n  exclude: true\n---\n\n# {path}\n"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what is outside docs/, and leave pages out of the navigation that this checkout does not have."""
    files.append(File.generated(config, "icon.svg", abs_src_path=str(ROOT / ICON)))
    for path, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    for path in sorted({path for file in files.documentation_pages() for path in shown_by(file)}):
        files.append(File.generated(config, page_of(path), content=code_page(path)))
    config.nav = present(config.nav or [], files)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the page's links lead to pages of the site."""
    uri = page.file.src_uri
    if uri.startswith(SHOWN):
        return markdown

    def linked(found: re.Match[str]) -> str:
        path = in_repository(uri, found["path"])
        if not (ROOT / path).exists():
            return found[0]  # a strict build reports it
        return posixpath.relpath(page_of(path), posixpath.dirname(uri) or ".") + (found["anchor"] or "")

    return LINK.sub(linked, markdown)


def in_repository(uri: str, link: str) -> str:
    """Return the path in the repository that a link of a page leads to."""
    source = next((path for path, page in PAGES.items() if page == uri), f"docs/{uri}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def page_of(path: str) -> str:
    """Return where the site has a path of the repository."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if is_document(path) else f"{SHOWN}{path}.md"


def is_document(path: str) -> bool:
    """Return whether the site has this file as it is: files in docs/, but not folders."""
    return path.startswith("docs/") and not (ROOT / path).is_dir()


def shown_by(file: File) -> set[str]:
    """Return the files and folders of the program that a page links to."""
    paths = {in_repository(file.src_uri, found["path"]) for found in LINK.finditer(file.content_string)}
    return {path for path in paths if page_of(path).startswith(SHOWN) and (ROOT / path).exists()}


def code_page(path: str) -> str:
    """Return a page that shows a file, or all files of a folder."""
    target = ROOT / path
    parts = [CODE_PAGE.format(path=path)]
    for each in [target] if target.is_file() else sorted(target.rglob("*")):
        if each.is_file() and "__pycache__" not in each.parts:
            if each != target:
                parts.append(f"## {each.relative_to(target).as_posix()}\n")
            text = each.read_text(encoding="utf-8").rstrip("\n")
            parts.append(f"``````{LANGUAGES.get(each.suffix, 'text')}\n{text}\n``````\n")
    return "\n".join(parts)


def present(entries: list[Any], files: Files) -> list[Any]:
    """Return the entries of a navigation whose pages exist. Sections without any are left out."""
    kept: list[Any] = []
    for entry in entries:
        [(title, target)] = entry.items()
        if isinstance(target, list):
            if inner := present(target, files):
                kept.append({title: inner})
        elif files.get_file_from_path(target) is not None:
            kept.append(entry)
    return kept
