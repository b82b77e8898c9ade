"""The built site in a real browser: no errors, no other host, formulas, search, phones, dark mode."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from _support.browser import CHROMIUM
from surface.repository import ROOT

SITE = ROOT / "docs" / "_build" / "html"
PHONE = {"width": 390, "height": 844}
PAGES = [
    "index.html",
    "docs/start.html",
    "docs/choose.html",
    "docs/losses/histogram_relation.html",
    "docs/troubleshooting.html",
    "docs/metrics.html",
    "docs/evidence.html",
    "benchmarks/results/studies/glotok_components/digits/study.html",
    "recipes/glotok/README.html",
    "docs/api/losses.html",
    "docs/api/quantizers.html",
    "docs/api/workbench/run.html",
    "_modules/vistok/losses/histogram_relation.html",
    "packages/losses/CHANGELOG.html",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built: make docs"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def visit(browser, address):
    """Opens a page; at the end of the test, nothing may have gone wrong in it, nor another host been asked."""
    said, contexts = [], []

    def ask(route):
        if route.request.url.startswith(address):
            return route.continue_()
        said.append(f"asks for {route.request.url}")
        return route.abort()

    def open_page(name, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: message.type == "error" and said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("response", lambda response: response.status >= 400 and said.append(response.url))
        page.route(lambda url: not url.startswith("data:"), ask)
        page.goto(f"{address}/{name}", wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_an_error_and_without_another_host(visit, name):
    page = visit(name)
    assert page.locator("h1").first.is_visible()
    assert page.locator(".sidebar-tree a").count() > 30


@pytest.mark.parametrize("name", PAGES)
def test_a_page_does_not_scroll_sideways_on_a_phone(visit, name):
    page = visit(name, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.evaluate("window.scrollTo(100, 0)")
    assert page.evaluate("window.scrollX") == 0


def test_a_wide_table_scrolls_inside_on_a_phone(visit):
    page = visit("benchmarks/results/studies/glotok_components/digits/study.html", viewport=PHONE)
    table = page.locator(".table-wrapper").first
    assert table.evaluate("box => box.scrollWidth > box.clientWidth")
    assert table.evaluate("box => { box.scrollLeft = 50; return box.scrollLeft }") == 50


def test_search_finds_the_histogram_relation_loss(visit):
    page = visit("index.html")
    page.locator("input[name=q]").fill("HistogramRelationLoss")
    page.locator("input[name=q]").press("Enter")
    found = page.locator("#search-results li a")
    found.first.wait_for(timeout=20_000)
    assert "docs/api/losses.html#vistok.losses.HistogramRelationLoss" in [
        link.get_attribute("href") for link in found.all()
    ]
    page.locator("#search-results li a[href*='losses.HistogramRelationLoss']").first.click()
    page.wait_for_url("**/docs/api/losses.html*")
    assert page.locator("dt[id='vistok.losses.HistogramRelationLoss']").is_visible()


@pytest.mark.parametrize("name", ["docs/losses/histogram_relation.html", "docs/api/losses.html"])
def test_a_formula_is_drawn_with_the_font_of_the_site(visit, name):
    page = visit(name)
    page.evaluate("document.fonts.ready.then(() => true)")
    assert page.evaluate("document.fonts.check('16px Formulas')")
    assert page.evaluate("[...document.fonts].filter(font => font.family.includes('Formulas'))[0].status") == "loaded"
    formula = page.locator(".formula math").first
    assert formula.locator("munder").count() >= 1
    assert formula.locator("mfrac").count() >= 1
    size = formula.bounding_box()
    assert size["height"] > 40  # limits under sums, fractions: more than a line of text
    assert size["width"] > 300
    assert "\\frac" not in page.locator("article").inner_text()


#: The smallest ratio of luminances between a text and what is behind it (WCAG 2), among the texts of a page.
CONTRAST = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255).map(
    c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = channels(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  let least = [99, ''];
  for (const node of document.querySelectorAll('article p, article li, article td, article h1, article h2, article a,' +
      'article code, article math, article pre span, article dt, .sidebar-tree a')) {
    if (!node.innerText?.trim() && node.localName !== 'math') continue;
    const style = getComputedStyle(node);
    if (style.visibility !== 'visible' || !node.getClientRects().length || node.matches('.headerlink')) continue;
    const [one, other] = [luminance(channels(style.color)), luminance(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least[0]) least = [ratio, node.outerHTML.slice(0, 200)];
  }
  return least;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_text_stands_out_from_what_is_behind_it(visit, name, scheme):
    page = visit(name, color_scheme=scheme)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c < 60)")
    assert dark == (scheme == "dark")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.0, where


def test_code_has_a_button_that_copies_it_without_prompts(visit):
    page = visit("docs/api/losses.html", permissions=["clipboard-read", "clipboard-write"])
    block = page.locator("div.highlight:has(.gp)").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "import" in copied
    assert ">>>" not in copied
