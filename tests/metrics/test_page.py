"""The report: one page, everything inside, nothing fetched, every text escaped."""

import base64
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.metrics.report.page import Link, Picture, Section, Table, Text, format_number, render_report

SUBJECT = "vistok.metrics.report.page"

PNG = b"\x89PNG\r\n\x1a\n pixels"
VOID = {"meta", "img", "link", "br"}


class Checker(HTMLParser):
    """Collects texts and attributes, and fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parse(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def page():
    blocks = [
        Text("words"),
        Table(["metric", "value"], [["PSNR", 24.1234], ["none", None]], "caption"),
        Picture(PNG, "a picture"),
    ]
    return render_report("Title", [Section("First", blocks), Section("Second")], subtitle="line")


def test_everything_is_inside_and_nothing_is_fetched():
    parsed = parse(page())
    assert {"Title", "line", "First", "Second", "words", "caption", "24.12", "a picture"} <= set(parsed.texts)
    sources = [value for _, name, value in parsed.attributes if name in ("src", "href")]
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in sources)
    assert not re.search(r"<script|<link|@import|url\(|https?:", page())


@catches(SUBJECT, "self.description or self.caption", "self.caption or self.description")
def test_the_picture_is_the_file_itself_and_has_a_description():
    attributes = parse(Picture(PNG, "a caption", "what it shows", pixelated=True).html()).attributes
    values = {name: value for tag, name, value in attributes if tag == "img"}
    assert base64.b64decode(values["src"].split(",")[1]) == PNG
    assert values["alt"] == "what it shows"
    assert values["class"] == "pixels"


@catches(SUBJECT, "for number, part in enumerate(sections))", "for number, part in enumerate(sections, 1))")
def test_links_on_top_reach_every_section():
    attributes = parse(page()).attributes
    targets = [value for tag, name, value in attributes if (tag, name) == ("section", "id")]
    links = [value for tag, name, value in attributes if (tag, name) == ("a", "href")]
    assert links == [f"#{target}" for target in targets]
    assert len(links) == 2


@catches(SUBJECT, "<p>{html.escape(self.text)}</p>", "<p>{self.text}</p>")
@given(st.text())
def test_no_text_can_break_the_page(text):
    blocks = [Text(text), Table([text], [[text]], text), Picture(PNG, text, text)]
    parse(render_report(text, [Section(text, blocks)], subtitle=text))
    assert "<script" not in Text("<script>").html()


@catches(SUBJECT, "html.escape(self.address, quote=True)", "self.address")
@catches(SUBJECT, "[{self.text}]({self.address})", "[{self.address}]({self.text})")
def test_a_link_leads_beside_the_page_and_what_follows_it_is_text():
    link = Link('a"b.html', "Look <here>", ": & more")
    assert link.html() == '<p><a href="a&quot;b.html">Look &lt;here&gt;</a>: &amp; more</p>'
    assert Link("a.html", "Look").markdown() == "[Look](a.html)"


def test_it_fits_phones_and_paper():
    assert 'name="viewport"' in page()
    assert "@media print" in page()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.0, "0.000"),
        (5000, "5,000"),
        (24.12345, "24.12"),
        (999.96, "1000"),
        (12345.6, "12,346"),
        (1.5e-7, "1.500e-07"),
        (-0.5, "-0.5000"),
        (float("inf"), "∞"),
        (float("-inf"), "−∞"),
        (float("nan"), "nan"),
        (2.5e9, "2.500e+09"),
    ],
)
def test_numbers_have_four_digits(number, text):
    assert format_number(number) == text


@catches(SUBJECT, "if len(row) != len(self.header):", "if len(row) > len(self.header):")
def test_bad_blocks_are_refused():
    with pytest.raises(ValueError, match="row 1 must hold 2 cells, got 1"):
        Table(["a", "b"], [[1, 2], [1]])
    with pytest.raises(ValueError, match="PNG"):
        Picture(b"JPEG", "caption")


@catches(SUBJECT, "isinstance(b, Table) and b.sortable", "isinstance(b, Table)")
@catches(SUBJECT, "if not self.sortable:", "if self.sortable:")
@catches(SUBJECT, "data-value=", "data-text=")
def test_a_table_that_can_be_sorted_has_buttons_exact_values_and_the_only_script():
    rows = [["JPEG", 24.12345678], ["none", None]]
    plain, sortable = (
        render_report("T", [Section("S", [Table(["codec", "PSNR"], rows, sortable=sorts)])]) for sorts in (False, True)
    )
    assert "<script" not in plain
    assert "data-value" not in plain
    parsed = parse(sortable)
    assert sortable.count("<script>") == 1
    assert [tag for tag, name, _ in parsed.attributes if (tag, name) == ("button", "type")] == ["button", "button"]
    assert ("td", "data-value", "24.12345678") in parsed.attributes
    assert "24.12" in parsed.texts
    assert not re.search(r"<link|@import|url\(|https?:", sortable)


@catches(SUBJECT, '.replace("|", "\\\\|")', "")
@catches(SUBJECT, '["---"] * len(self.header)', '["---"]')
@catches(SUBJECT, '"" if cell is None else cell', "cell")
def test_a_table_is_markdown_with_its_caption_under_it():
    table = Table(["a", "b"], [["x|y", 0.12345], [None, 3], ["two\nlines", 1.0]], "Caption.")
    assert table.markdown().splitlines() == [
        "| a | b |",
        "| --- | --- |",
        r"| x\|y | 0.1235 |",
        "|  | 3 |",
        "| two lines | 1.000 |",
        "",
        "Caption.",
    ]
    assert not Table(["a"], [["b"]]).markdown().endswith("\n")
