"""The pages of the repository and what is in them: fenced blocks, links, headings."""

import re
from dataclasses import dataclass
from pathlib import Path

from surface.repository import ROOT

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: the words after the fence, the text, and the line it starts on."""

    info: str
    text: str
    line: int

    @property
    def language(self) -> str:
        return self.info.split()[0] if self.info.split() else ""


def pages() -> list[Path]:
    patterns = ("*.md", "packages/*/*.md", "docs/**/*.md", "recipes/**/*.md", "benchmarks/**/*.md")
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        indent = match["indent"]
        body = "\n".join(line.removeprefix(indent) for line in match["body"].splitlines())
        found.append(Block(match["info"].strip(), body + "\n", text.count("\n", 0, match.start("body")) + 1))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks and its code spans."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> list[str]:
    return [match["target"] for match in LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """The fragments that headings of a page make, as GitHub writes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found
