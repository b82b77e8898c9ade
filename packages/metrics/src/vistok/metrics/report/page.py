"""One self-contained HTML page: headings, text, tables and pictures; nothing is fetched.

No script runs but the one that sorts a table, where there is one to be sorted.
"""

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1c1c1c; background: #fff; max-width: 64rem; margin: 0 auto;
       padding: 1.2rem; }
h1 { line-height: 1.2; margin-bottom: 0.2rem; }
h2 { margin-top: 2.4rem; border-bottom: 1px solid #ddd; padding-bottom: 0.2rem; }
.subtitle { color: #555; margin-top: 0; }
nav { font-size: 0.95rem; } nav a { margin-right: 1rem; white-space: nowrap; }
figure { margin: 1.2rem 0; } figcaption, caption { color: #555; font-size: 0.9rem; text-align: left; }
img { max-width: 100%; height: auto; } img.pixels { image-rendering: pixelated; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.8rem 0; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; border-bottom: 1px solid #e4e4e4; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th button { font: inherit; font-weight: bold; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
            text-align: left; }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } nav { display: none; }
  figure, tr { break-inside: avoid; } h2 { break-after: avoid; } .wide { overflow: visible; } }
"""

# A click sorts by the column, the largest first, another one turns the order; cells without a value stay at the end.
_SORTING = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const sign = head.ariaSort === "descending" ? 1 : -1;
    heads.forEach((other) => { other.ariaSort = "none"; });
    head.ariaSort = sign > 0 ? "ascending" : "descending";
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    body.append(...[...body.rows].sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
    }));
  }));
}
"""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str

    def html(self) -> str:
        """The paragraph as HTML."""
        return f"<p>{html.escape(self.text)}</p>"


@dataclass(frozen=True)
class Link:
    """A link to a page beside this one, with what follows it."""

    address: str
    text: str
    after: str = ""

    def html(self) -> str:
        """The link as HTML, in a paragraph."""
        address, text = html.escape(self.address, quote=True), html.escape(self.text)
        return f'<p><a href="{address}">{text}</a>{html.escape(self.after)}</p>'

    def markdown(self) -> str:
        """The link as Markdown."""
        return f"[{self.text}]({self.address}){self.after}"


@dataclass(frozen=True)
class Table:
    """Rows under a header; numbers are right-aligned and shown with four significant digits."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]
    caption: str = ""
    #: A reader may sort the rows by a column.
    sortable: bool = False

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise ValueError(f"row {number} must hold {len(self.header)} cells, got {len(row)}")

    def html(self) -> str:
        """The table as HTML."""
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        head = "".join(map(self._head, self.header))
        body = "".join(f"<tr>{''.join(_cell(cell, self.sortable) for cell in row)}</tr>" for row in self.rows)
        kind = ' class="sortable"' if self.sortable else ""
        table = f"<table{kind}>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div class="wide">{table}</div>'

    def markdown(self) -> str:
        """The table as Markdown, its caption under it."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        shown = ["| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines]
        return "\n".join(shown) + (f"\n\n{self.caption}" if self.caption else "")

    def _head(self, name: str) -> str:
        text = html.escape(name)
        if not self.sortable:
            return f'<th scope="col">{text}</th>'
        return f'<th scope="col" aria-sort="none"><button type="button">{text}</button></th>'


@dataclass(frozen=True)
class Picture:
    """A PNG with a caption, and a description for those who do not see it (the caption by default)."""

    png: bytes
    caption: str
    description: str = ""
    #: Enlarge without smoothing, as grids of small images need.
    pixelated: bool = False

    def __post_init__(self) -> None:
        if not self.png.startswith(b"\x89PNG"):
            raise ValueError(f"png must be the content of a PNG file, got {self.png[:4]!r}…")

    def html(self) -> str:
        """The picture as HTML, with its pixels inside."""
        data = base64.b64encode(self.png).decode("ascii")
        description = html.escape(self.description or self.caption)
        style = ' class="pixels"' if self.pixelated else ""
        image = f'<img{style} alt="{description}" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{html.escape(self.caption)}</figcaption></figure>"


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    blocks: Sequence[Text | Link | Table | Picture] = field(default_factory=tuple)


def render_report(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """The report as one HTML document, readable on a phone, on a wide screen and on paper.

    Args:
        title: Heading of the page.
        sections: In order; a line of links to them stands on top.
        subtitle: One line under the title: what was run, when, on what.

    Example:
        >>> page = render_report("Digits", [Section("Numbers", [Table(["metric", "value"], [["PSNR", 24.123]])])])
        >>> "24.12" in page, "http" in page, "<script" in page
        (True, False, False)
    """
    links = "".join(f'<a href="#s{number}">{html.escape(part.heading)}</a> ' for number, part in enumerate(sections))
    parts = [
        f'<section id="s{number}"><h2>{html.escape(part.heading)}</h2>{"".join(block.html() for block in part.blocks)}'
        "</section>"
        for number, part in enumerate(sections)
    ]
    subtitle_line = f'<p class="subtitle">{html.escape(subtitle)}</p>' if subtitle else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>{subtitle_line}<nav>{links}</nav>{''.join(parts)}{_script(sections)}</body></html>\n"
    )


def _script(sections: Sequence[Section]) -> str:
    blocks = [block for part in sections for block in part.blocks]
    return f"<script>{_SORTING}</script>" if any(isinstance(b, Table) and b.sortable for b in blocks) else ""


def _cell(value: str | float | int | None, sortable: bool) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    exact = f' data-value="{value!r}"' if sortable else ""
    return f'<td class="number"{exact}>{html.escape(format_number(value))}</td>'


def _plain(cell: str | float | int | None) -> str:
    """A cell of a table in Markdown."""
    text = "" if cell is None else cell if isinstance(cell, str) else format_number(cell)
    return text.replace("|", "\\|").replace("\n", " ")


def format_number(value: float) -> str:
    """A number for people: whole numbers in full with thousands separated, others with four significant digits.

    Example:
        >>> format_number(1234567), format_number(0.0123456), format_number(float("inf")), format_number(24.0)
        ('1,234,567', '0.01235', '∞', '24.00')
    """
    if isinstance(value, int):
        return f"{value:,}"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:#.4g}".rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
