"""One page that is read without a network and without a server: its text here, its behaviour in the script beside."""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vistok.workbench.inspection.contents import Inspection
from vistok.workbench.inspection.edits import Edits, decode_edits, decode_shown
from vistok.workbench.inspection.histograms import histogram_figure
from vistok.workbench.inspection.page_data import page_data
from vistok.workbench.run.files import write_atomically

_HERE = Path(__file__).parent


def write_inspection(path: Path, inspection: Inspection) -> None:
    """Decode what the page shows and write it: the same bytes for the same run."""
    decoded, edits = decode_shown(inspection), decode_edits(inspection)
    write_atomically(path, render_inspection(inspection, page_data(inspection, decoded, edits), edits))


def render_inspection(inspection: Inspection, data: dict[str, Any], edits: Edits) -> str:
    """The page as HTML, with everything inside.

    Args:
        inspection: What it is about.
        data: As :func:`vistok.workbench.inspection.page_data.page_data` gathers it.
        edits: Which replacements the page holds.
    """
    title, script = html.escape(inspection.title), (_HERE / "page.js").read_text(encoding="utf-8")
    embedded = json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    about = "".join(f"<p>{html.escape(line)}</p>" for line in inspection.about if line)
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{(_HERE / 'page.css').read_text(encoding='utf-8')}</style></head><body>"
        f"<header><h1>{title}</h1>{about}</header><main>",
        _tokens_section(inspection, edits),
        *(_strip_section(number, strip.title, strip.note) for number, strip in enumerate(inspection.strips)),
    ]
    if inspection.histograms:
        note = (
            "Shares of the pairs of a codebook by their cosine. The semantic codebook learns the teacher's histogram."
        )
        figure = histogram_figure(inspection.histograms)
        parts.append(f'<section id="cosines"><h2>Pairwise cosines</h2><p class="note">{note}</p>{figure}</section>')
    if inspection.missing:
        parts.append(_missing_section(inspection.missing))
    parts.append(
        '</main><p id="live" class="unseen" role="status" aria-live="polite"></p>'
        f'<script type="application/json" id="data">{embedded}</script><script>{script}</script></body></html>\n'
    )
    return "".join(parts)


def _tokens_section(inspection: Inspection, edits: Edits) -> str:
    many = len(inspection.images)
    held = "one image" if edits.images == 1 else f"the first {edits.images} images"
    places = " and ".join(
        f"{len(each)} of {book.tokens[0].numel()} {book.name} tokens" for each, book in _of(edits, inspection)
    )
    note = (
        f"Counts, classes and patches are of all {many:,} held-out images. "
        f"Replacements are decoded beforehand for {held}: "
        f"{places}, by the {edits.neighbours} nearest codes. The command with --serve replaces any token of any image."
    )
    return f"""<section id="tokens"><h2>Images and their tokens</h2>
<div id="images" role="radiogroup" aria-label="Held-out image"></div>
<div id="books" role="radiogroup" aria-label="Codebook"></div>
<div class="columns"><div>
<div class="views">
<figure><div class="framed"><canvas id="original" role="img"></canvas><div id="overlay"></div></div>
<figcaption>held-out image</figcaption></figure>
{_view("decoded", "from its tokens")}
{_view("edited", "with the token replaced", "change")}
{_view("difference", "their difference, the largest one white")}
</div><div id="beside"></div>
<p class="keys">Arrow keys move among images and tokens, Home and End to the first and last of a row; Escape undoes a
replacement.</p></div>
<div id="detail" role="region" aria-label="The code of the token"></div></div>
<p class="note">{html.escape(note)}</p></section>"""


def _view(name: str, caption: str, identifier: str = "") -> str:
    picture = f'<canvas id="{name}" role="img" aria-label="Image {caption}"></canvas>'
    marked = f'<div class="framed">{picture}<div class="mark"></div></div>'
    return f'<figure>{marked}<figcaption id="{identifier or name + "-caption"}">{caption}</figcaption></figure>'


def _of(edits: Edits, inspection: Inspection) -> Sequence[tuple[Sequence[int], Any]]:
    return list(zip(edits.places, inspection.books, strict=True))


def _strip_section(number: int, title: str, note: str) -> str:
    head = f'<h2 id="strip{number}-title">{html.escape(title)}</h2><p class="note">{html.escape(note)}</p>'
    return f'<section class="strip" id="strip{number}">{head}</section>'


def _missing_section(missing: Sequence[str]) -> str:
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in missing)
    return f'<section id="missing"><h2>Not on this page</h2><ul>{lines}</ul></section>'
