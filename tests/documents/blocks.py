"""The examples in the documents: fenced blocks of shell, Python and JavaScript, and how a test can run each.

A comment on the line before a block says what is special about it:

    <!-- example: not run: it asks a real bookmaker -->
    <!-- example: endless -->
    <!-- example: endless, needs quart_odds_client -->

Without one, it is run to its end, has to succeed, and to print something.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = ("bash", "js", "python")
KINDS = {
    "": "it ends, and prints something",
    "silent": "it ends, and prints nothing",
    "endless": "it prints something, and is then stopped",
    "browser": "a module of a page, which prints to the console",
    "not run": "it cannot be run here, for the reason that follows",
}

FENCE = re.compile("(`{3,})([a-z]*)")
COMMENT = re.compile(r"<!-- example: ([a-z ]*?)(?:, )?(?:needs (\w+))?(?:: (.+))? -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the number of its first line there, its language, and what its comment says.

    `needed` is a Python package that may not be installed, or empty.
    """

    page: str
    line: int
    language: str
    code: str
    kind: str
    reason: str
    needed: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page in LANGUAGES, in order. ValueError for a comment that says nothing to a test."""
    page = path.relative_to(ROOT).as_posix()
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    position = 0
    while position < len(lines):
        opening = FENCE.fullmatch(lines[position])
        comment = COMMENT.fullmatch(lines[position - 1]) if position else None
        position += 1
        if opening is None:
            continue
        end = lines.index(opening[1], position)
        kind, needed, reason = (comment[1], comment[2] or "", comment[3] or "") if comment else ("", "", "")
        if kind not in KINDS or (kind == "not run") != bool(reason):
            raise ValueError(f"{page}:{position}: {lines[position - 2]}")
        if opening[2] in LANGUAGES:
            code = "\n".join(lines[position:end]) + "\n"
            found.append(Block(page, position + 1, opening[2], code, kind, reason, needed))
        position = end + 1
    return found


def pages() -> list[Path]:
    """Return the documents, those beside docs/ included."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def unread(path: Path) -> list[str]:
    """Return the comments about examples that no block has: a blank line between them, or a typing error."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip().startswith("<!-- example")]
    read = re.findall(r"^(<!-- example: .+ -->)\n```", text, re.MULTILINE)
    return [line for line in lines if line not in read]
