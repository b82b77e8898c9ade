"""One page that needs nothing else shows every number and every choice, and the worst and best pictures."""

import base64
import html
import io
import re

import pytest
import torch
from PIL import Image

from _support.mutants import catches
from _support.stand_in_network import pictures
from vistok.metrics import Evaluation, evaluate_pairs
from vistok.metrics.harness.evaluation_page import write_page
from vistok.metrics.harness.gallery import Gallery
from vistok.metrics.report.page import format_number

SUBJECT = "vistok.metrics.harness.evaluation_page"


def text_of(path):
    return html.unescape(re.sub(r"<[^>]+>", "|", path.read_text(encoding="utf-8")))


@catches(SUBJECT, "evaluation.choices.items()", "list(evaluation.choices.items())[:-1]")
@catches(SUBJECT, "list(evaluation.left_out.items())", "[]")
@catches(SUBJECT, "replace_file(folder / FILE, page)", "(folder / FILE).write_text(page.replace('count', ''))")
def test_every_number_every_choice_and_every_reason_is_there(tmp_path):
    found = evaluate_pairs(pictures(3, size=8), pictures(3, size=8, seed=1), folder=tmp_path)
    shown = text_of(tmp_path / "evaluation.html")
    for section, name, value in found.rows():
        assert f"|{section}||{name}||{format_number(value)}|" in shown, name
    for name, value in found.choices.items():
        assert f"|{name}||{value}|" in shown, name
    assert found.left_out
    for what, why in found.left_out.items():
        assert f"|{what}||{why}|" in shown


def test_it_opens_without_a_network_and_runs_nothing(tmp_path):
    write_page(tmp_path, Evaluation({"subject": "<script>alert(1)</script>"}, {"a": {"b": 1.0}}))
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert re.findall(r"<script|https?:|<link|<iframe|\bon\w+=", page) == []
    assert "&lt;script&gt;" in page
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.html"]


@catches(SUBJECT, '("Worst", "Best")', '("Best", "Worst")')
@catches(SUBJECT, "torch.stack([shown.originals, shown.reconstructions])", "torch.stack([shown.originals] * 2)")
@catches(SUBJECT, "names[index] if names", "names[-index] if names")
def test_pictures_are_the_worst_and_the_best_with_their_names(tmp_path):
    originals = torch.full((4, 1, 64, 64), 100, dtype=torch.uint8)
    made = originals + torch.tensor([9, 0, 40, 3], dtype=torch.uint8).view(4, 1, 1, 1)
    gallery = Gallery((1, 64, 64), count=2)
    gallery.update(torch.arange(4), originals, made)
    write_page(tmp_path, Evaluation({"count": 4}), gallery.compute(), ["a.png", "b.png", "c.png", "d.png"])
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert captions == ["Worst by PSNR: c.png, a.png.", "Best by PSNR: b.png, d.png."]
    worst, best = (
        Image.open(io.BytesIO(base64.b64decode(data))).convert("L") for data in re.findall(r"base64,([^\"]+)", page)
    )
    assert {140, 109} <= set(worst.tobytes())
    assert 103 in best.tobytes()


@pytest.mark.parametrize(("count", "said"), [(1, "1 image<"), (2, "2 images<"), (50000, "50,000 images<")])
def test_the_number_of_images_is_said(tmp_path, count, said):
    path = write_page(tmp_path, Evaluation({"count": count, "subject": "mine"}))
    page = path.read_text(encoding="utf-8")
    assert said in page
    assert "<h1>Evaluation: mine</h1>" in page
