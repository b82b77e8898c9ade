"""The page in a real browser: hover, drag, switch, replace, keys; every number and pixel is that of the arrays."""

import pytest
import torch

from _support.browser import CHROMIUM
from _support.few_tokens import few_codes, few_images, few_tokens, painted
from vistok.workbench.inspection.codes import neighbours_of_codes
from vistok.workbench.inspection.contents import Inspection, Strip, occurring_book, whole_book
from vistok.workbench.inspection.edits import decode_edits, decode_shown
from vistok.workbench.inspection.page import write_inspection

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SHOWN = torch.tensor([1, 4, 7, 9])
COUNT = 12

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")]


def grids():
    """Two books on a grid, a strip of every image and one of samples."""
    books = [
        whole_book("semantic", few_tokens(COUNT), few_codes()),
        whole_book("visual", few_tokens(COUNT, seed=3), few_codes(seed=4)),
    ]
    draws = torch.Generator().manual_seed(9)
    parts = torch.randint(0, 256, (4, 2, 3, 3, 4, 4), generator=draws, dtype=torch.uint8)
    steps = torch.randint(0, 256, (1, 2, 4, 3, 4, 4), generator=draws, dtype=torch.uint8)
    strips = [
        Strip("Parts", "a note", ("alone", "together"), ("0%", "50%", "100%"), parts),
        Strip("Steps", "a note", ("cat", "dog"), ("none", "few", "many", "all"), steps),
    ]
    histograms = {"teacher": torch.rand(20, generator=draws), "semantic codebook": torch.rand(20, generator=draws)}
    about = ("few at 4 px", "drawn by chance")
    return Inspection("A page", about, few_images(COUNT), SHOWN, books, painted, strips, histograms, ("Steps of far",))


def sequence():
    """One book of bits without places."""
    book = occurring_book("binary", few_tokens(COUNT, 9).flatten(1), 4)
    return Inspection("A sequence", (), few_images(COUNT), SHOWN, [book], lambda t: painted([t[0].view(-1, 2, 2)]))


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a page; nothing may go wrong in it, nor may anything be asked for."""
    said, contexts = [], []

    def open_page(inspection, **options):
        file = tmp_path / "inspect.html"
        write_inspection(file, inspection)
        contexts.append(browser.new_context(**{"viewport": DESKTOP, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: message.type == "error" and said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(("data:", "file:")) or said.append(asked.url))
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-ready=true]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def canvas(page, selector):
    """The pixels of a canvas at its own size, ``(3, H, W)``."""
    width, height, values = page.locator(selector).first.evaluate(
        "c => [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
    )
    return torch.tensor(values, dtype=torch.uint8).view(height, width, 4)[..., :3].permute(2, 0, 1)


def same(pixels, image):
    return torch.equal(pixels, image.expand(3, -1, -1))


def cell(page, place):
    return page.locator("[role=gridcell]").nth(place)


def test_hovering_a_token_tells_of_its_code_and_leaving_it_of_the_chosen_one(visit):
    inspection = grids()
    page = visit(inspection)
    book = inspection.books[0]
    for place in (3, 1):
        cell(page, place).hover()
        row = int(book.tokens[1].flatten()[place])
        where = book.tokens.flatten(1) == row
        times = {1: "once"}.get(int(where.sum()), f"{int(where.sum())} times")
        assert page.locator("#detail h3").inner_text() == f"semantic code {row}"
        assert page.locator(".counts").inner_text().startswith(f"{times} in {int(where.any(1).sum())} of 12 held-out")
        assert page.locator("[role=gridcell].same").count() == int(where[1].sum())
        badges = [button.inner_text() for button in page.locator("#images .badge").all()]
        assert badges == [str(int(count)) if count else "" for count in where[SHOWN].sum(1)]
    page.locator("h1").hover()
    assert page.locator("#detail h3").inner_text() == f"semantic code {int(book.tokens[1, 0, 0])}"


def test_bars_and_nearest_codes_are_those_of_the_arrays(visit):
    inspection = grids()
    page = visit(inspection)
    cell(page, 2).click()
    book = inspection.books[0]
    row = int(book.tokens[1].flatten()[2])
    where = (book.tokens.flatten(1) == row).sum(1)
    counts = [int(where[inspection.images.labels == label].sum()) for label in range(3)]
    wanted = sorted(((-count, label) for label, count in enumerate(counts) if count))
    names = [item.inner_text() for item in page.locator(".classes .name").all()]
    numbers = [int(item.inner_text()) for item in page.locator(".classes .number").all()]
    assert names == [inspection.images.class_names[label] for _, label in wanted]
    assert numbers == [-count for count, _ in wanted]
    widths = [item.evaluate("bar => parseFloat(bar.style.width)") for item in page.locator(".bar span").all()]
    assert widths == pytest.approx([100 * number / numbers[0] for number in numbers], abs=0.01)
    near, cosines = neighbours_of_codes(book.codes, torch.tensor([row]), 8)
    assert [int(item.inner_text()) for item in page.locator(".look").all()] == near[0].tolist()
    assert [item.inner_text() for item in page.locator(".near .number").all()] == [
        f"{c:.3f}" for c in cosines[0].tolist()
    ]


def test_every_picture_is_the_array_behind_it(visit):
    inspection = grids()
    page = visit(inspection)
    decoded = decode_shown(inspection)
    for index, button in enumerate(page.locator("#images button").all()):
        button.click()
        assert same(canvas(page, "#original"), inspection.images.images[SHOWN[index]])
        assert same(canvas(page, "#decoded"), decoded[index])
    assert page.locator("#original").evaluate("c => getComputedStyle(c).imageRendering") == "pixelated"


def test_a_replaced_token_shows_the_image_that_was_decoded_for_it_and_escape_undoes_it(visit):
    inspection = grids()
    page = visit(inspection)
    edits, decoded = decode_edits(inspection), decode_shown(inspection)
    page.locator("#images button").nth(2).click()
    page.locator("#books button").nth(1).click()
    cell(page, 3).click()
    page.locator(".replace").nth(1).click()
    made = edits.pixels[2 * 24 + 12 + 3 * 3 + 1]
    assert same(canvas(page, "#edited"), made)
    change = (made.double() - decoded[2].double()).abs()
    text = page.locator("#change").inner_text()
    assert f"{change.mean():.2f} of 255 on average, by {int(change.max())} at most" in text
    assert page.locator(".replace[aria-pressed=true]").count() == 1
    assert page.locator("#live").inner_text() == text
    cell(page, 3).focus()
    page.keyboard.press("Escape")
    assert same(canvas(page, "#edited"), decoded[2])
    assert page.locator("#change").inner_text() == "no token replaced"


def test_the_books_are_switched_by_their_buttons(visit):
    inspection = grids()
    page = visit(inspection)
    page.locator("#books button").nth(1).click()
    labels = [each.get_attribute("aria-label") for each in page.locator("[role=gridcell]").all()]
    codes = inspection.books[1].tokens[1].flatten().tolist()
    assert labels == [f"row {p // 2 + 1}, column {p % 2 + 1}, code {code}" for p, code in enumerate(codes)]
    assert page.locator("#detail h3").inner_text().startswith("visual code")


def test_dragging_a_slider_shows_the_frame_of_the_image_and_the_row(visit):
    inspection = grids()
    page = visit(inspection)
    page.locator("#images button").nth(3).click()
    parts, steps = (strip.images for strip in inspection.strips)
    page.locator("#strip0 [role=radio]").first.click()
    box = page.locator("#strip0 input").bounding_box()  # after the click, which may scroll
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    assert same(canvas(page, "#strip0 .player > canvas"), parts[3, 0, 1])
    assert page.locator("#strip0 input").get_attribute("aria-valuetext") == "50%"
    assert page.locator("#strip0 .value").inner_text() == "alone: 50%"
    page.locator("#strip1 input").focus()
    page.keyboard.press("ArrowLeft")
    assert same(canvas(page, "#strip1 .player > canvas"), steps[0, 1, 2])
    frames = page.locator("#strip1 .frames canvas")
    assert frames.count() == 4
    frames.nth(0).click()
    assert same(canvas(page, "#strip1 .player > canvas"), steps[0, 1, 0])


def test_images_and_tokens_are_reached_by_keys_and_said(visit):
    inspection = grids()
    page = visit(inspection)
    page.locator("#images button").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "image 4, class one"
    assert page.locator("#images [aria-checked=true]").count() == 1
    assert page.locator("#images [tabindex='0']").count() == 1
    page.keyboard.press("Tab")  # to the books
    page.keyboard.press("Tab")  # to the token that is chosen
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    tokens = inspection.books[0].tokens
    code = int(tokens[4, 1, 1])
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"row 2, column 2, code {code}"
    count = int((tokens == code).sum())
    assert page.locator("#live").inner_text() == f"semantic, row 2, column 2: code {code}, {count} times in 12 images"
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.place") == "2"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # looks at the nearest code
    near, _ = neighbours_of_codes(inspection.books[0].codes, tokens[4, 1, :1], 1)
    assert page.locator("#detail h3").inner_text() == f"semantic code {int(near)}"
    assert page.evaluate("document.activeElement.tagName") == "H3"


def test_a_sequence_of_bits_is_a_strip_with_its_bits(visit):
    inspection = sequence()
    page = visit(inspection)
    assert not page.locator("#books").is_visible()
    book = inspection.books[0]
    numbers = book.numbered(book.tokens[1]).tolist()
    assert [each.inner_text() for each in page.locator("#beside [role=gridcell]").all()] == [str(n) for n in numbers]
    cell(page, 2).click()
    bits = "".join(str(numbers[2] >> bit & 1) for bit in range(4))
    assert page.locator("#detail .bits").first.get_attribute("aria-label") == f"bits, lowest first: {bits}"
    near, _ = neighbours_of_codes(book.codes, book.tokens[1, 2:3], 8)
    for item, row in zip(page.locator(".near li").all(), near[0].tolist(), strict=True):
        assert item.locator(".differs").count() == bin(int(book.numbers[row]) ^ numbers[2]).count("1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_it_fits_the_screen_and_every_text_stands_out(visit, viewport, scheme):
    page = visit(grids(), viewport=viewport, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c < 60)")
    assert dark == (scheme == "dark")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where
    assert page.locator("[role=gridcell]").first.bounding_box()["height"] >= 24


#: The smallest ratio of luminances between a text and what is behind it (WCAG 2).
CONTRAST = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = colour => channels(colour).slice(0, 3).map(c => c / 255).map(
    c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (channels(colour).length === 3) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  let least = [99, ''];
  for (const node of document.querySelectorAll('p, h1, h2, h3, h4, li, button, figcaption, .badge, .name, .number')) {
    if (!node.innerText?.trim() || !node.getClientRects().length) continue;
    const [one, other] = [luminance(getComputedStyle(node).color), luminance(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least[0]) least = [ratio, node.outerHTML.slice(0, 200)];
  }
  return least;
}"""
