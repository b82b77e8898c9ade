"""The page needs nothing beside it, says what it holds, stays small, and is the same file each time."""

import json
import re

import pytest
import torch

from _support.few_tokens import few_codes, few_images, few_tokens, painted
from _support.mutants import catches
from vistok.workbench.inspection.contents import Inspection, Strip, choose_shown, whole_book
from vistok.workbench.inspection.page import write_inspection

SUBJECT = "vistok.workbench.inspection.page"


def inspection():
    books = [
        whole_book("semantic", few_tokens(), few_codes()),
        whole_book("visual", few_tokens(seed=3), few_codes(seed=4)),
    ]
    strip = Strip("Parts & <pieces>", "a note", ("x",), ("all",), few_images().images[:1].view(1, 1, 1, 1, 4, 4))
    histograms = {"teacher": torch.tensor([1.0, 2.0])}
    about = ("few <b>images</b>", "")
    return Inspection(
        "few", about, few_images(), torch.tensor([1, 4]), books, painted, [strip], histograms, ["no <xar>"]
    )


def written(tmp_path, page):
    write_inspection(tmp_path / "inspect.html", page)
    return (tmp_path / "inspect.html").read_text(encoding="utf-8")


def embedded(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


@catches(SUBJECT, '.replace("<", "\\\\u003c")', "")
@catches(SUBJECT, "html.escape(line)}</p>", "line}</p>")
@catches(SUBJECT, "<li>{html.escape(line)}", "<li>{line}")
@catches(SUBJECT, "{html.escape(title)}</h2>", "{title}</h2>")
def test_names_of_others_are_text_wherever_they_stand(tmp_path):
    text = written(tmp_path, inspection())
    assert embedded(text)["classes"][0] == "<none>"
    assert not re.search(r"<(none|b|xar|pieces)>", text)
    assert "few &lt;b&gt;images" in text
    assert "Parts &amp; &lt;pieces&gt;" in text


@catches(
    SUBJECT,
    "<style>{(_HERE / 'page.css').read_text(encoding='utf-8')}</style>",
    "<link rel='stylesheet' href='page.css'>",
)
@catches(SUBJECT, "<script>{script}</script>", '<script src="page.js"></script>')
def test_nothing_outside_the_page_is_asked_for(tmp_path):
    text = written(tmp_path, inspection())
    assert "http" not in text
    assert "import(" not in text
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)""", text) == []
    assert "url(" not in text
    assert "function paintGrid" in text
    assert "prefers-color-scheme: dark" in text


@catches(SUBJECT, "the first {edits.images} images", "the first {len(inspection.shown) + 1} images")
@catches(SUBJECT, "{len(each)} of {book.tokens[0].numel()}", "{book.tokens[0].numel()} of {len(each)}00")
def test_the_page_says_what_is_decoded_beforehand_and_what_is_missing(tmp_path):
    text = written(tmp_path, inspection())
    assert "of all 6 held-out images" in text
    assert "for the first 2 images: 4 of 4 semantic tokens and 4 of 4 visual tokens, by the 3 nearest codes" in text
    assert "no &lt;xar&gt;" in text
    assert "teacher: mean" in text


def test_the_same_run_gives_the_same_bytes(tmp_path):
    assert written(tmp_path, inspection()) == written(tmp_path, inspection())


def test_roles_and_names_for_those_who_do_not_see_it(tmp_path):
    text = written(tmp_path, inspection())
    assert 'role="status" aria-live="polite"' in text
    for name in ("Held-out image", "Codebook", "The code of the token"):
        assert f'aria-label="{name}"' in text
    assert text.count("<h1>") == 1
    assert '<html lang="en">' in text


@pytest.mark.slow
@catches("vistok.workbench.inspection.contents", "_SHOWN_BYTES = 1_500_000", "_SHOWN_BYTES = 15_000_000")
def test_a_page_of_noise_at_the_largest_size_stays_under_eight_megabytes(tmp_path):
    images = few_images(40, 3, 64)
    draws = torch.Generator().manual_seed(0)

    def noise(tokens):
        return torch.rand((len(tokens[0]), 3, 64, 64), generator=draws) * 2 - 1

    shown = choose_shown(images, 18)
    tokens = torch.randint(0, 2000, (40, 16, 16), generator=draws)
    books = [whole_book(name, tokens, torch.randn(2000, 8, generator=draws)) for name in ("semantic", "visual")]
    strip = Strip("Parts", "", ("x", "y"), [""] * 9, torch.randint(0, 256, (len(shown), 2, 9, 3, 64, 64)).byte())
    steps = Strip("Steps", "", list("abcd"), [""] * 9, torch.randint(0, 256, (1, 4, 9, 3, 64, 64)).byte())
    assert len(written(tmp_path, Inspection("noise", (), images, shown, books, noise, [strip, steps]))) < 8_000_000
