"""The report in a real browser: nothing is requested, nothing overflows, every figure is there."""

import shutil

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket, pytest.mark.xdist_group("browser")]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no headless browser on this machine (looked for {', '.join(BROWSERS)})")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(params=[(1280, "light"), (360, "light"), (360, "dark")], ids=lambda p: f"{p[0]}-{p[1]}")
def page(request, browser, report):
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened.requested, opened.complaints = [], []
    opened.on("request", lambda found: opened.requested.append(found.url))
    opened.on("console", lambda found: opened.complaints.append(found.text))
    opened.on("pageerror", lambda found: opened.complaints.append(str(found)))
    opened.goto(report.report.as_uri(), wait_until="load")
    opened.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    yield opened
    opened.close()


def test_nothing_is_requested_and_nothing_complained_of(page, report):
    assert [url for url in page.requested if not url.startswith("data:")] == [report.report.as_uri()]
    assert page.complaints == []


def test_the_page_never_scrolls_sideways(page):
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    wide = page.evaluate(
        """() => [...document.querySelectorAll('main *, header *')]
            .filter(one => !one.closest('.scroll') && !one.closest('svg'))
            .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
            .map(one => one.outerHTML.slice(0, 120))"""
    )
    assert wide == []


def test_tables_scroll_inside_their_own_box(page):
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('.scroll')].map(one => ({
            style: getComputedStyle(one).overflowX, focus: one.tabIndex, name: one.ariaLabel,
            wide: one.scrollWidth > one.clientWidth}))"""
    )
    assert boxes
    assert all(box["style"] == "auto" and box["focus"] == 0 and box["name"] for box in boxes)
    if page.viewport_size["width"] == 360:
        assert any(box["wide"] for box in boxes)


def test_every_figure_is_drawn_described_and_captioned(page):
    figures = page.evaluate(
        """() => [...document.querySelectorAll('figure')].map(one => {
            const svg = one.querySelector('svg'), box = svg.getBoundingClientRect();
            const caption = one.querySelector('figcaption');
            return {id: one.id, width: box.width, height: box.height, alt: svg.getAttribute('aria-label'),
                    marks: svg.querySelectorAll('path, use').length, caption: caption.textContent,
                    csv: caption.querySelector('a[download]').download};
        })"""
    )
    assert len(figures) > 30
    for figure in figures:
        assert figure["width"] > 200, figure["id"]
        assert figure["height"] > 150, figure["id"]
        assert figure["marks"] > 10, figure["id"]
        assert len(figure["alt"]) > 20, figure["id"]
        assert len(figure["caption"]) > 15, figure["id"]
        assert figure["csv"] == f"{figure['id']}.csv"
    curves = [figure for figure in figures if "-labels-" in figure["id"]]
    assert curves
    for words in ("over trainings", "statistical uncertainty"):
        assert all(words in one["caption"] for one in curves)


def test_text_in_figures_is_readable_and_inside_its_figure(page):
    texts = page.evaluate(
        """() => [...document.querySelectorAll('figure svg')].flatMap(svg => {
            const frame = svg.getBoundingClientRect(), scale = frame.width / svg.viewBox.baseVal.width;
            return [...svg.querySelectorAll('text')].filter(one => one.textContent.trim()).map(one => {
                const box = one.getBoundingClientRect(), size = parseFloat(getComputedStyle(one).fontSize);
                return {id: svg.closest('figure').id, text: one.textContent.trim(), size: size * scale,
                        out: Math.max(frame.left - box.left, box.right - frame.right,
                                      frame.top - box.top, box.bottom - frame.bottom)};
            });
        })"""
    )
    assert len(texts) > 300
    assert min(text["size"] for text in texts) >= 7.5
    assert [text for text in texts if text["out"] > 2] == []


def test_text_stands_out_from_the_page_in_both_themes(page):
    contrasts = page.evaluate(
        """() => {
            const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(c => {
                c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
            const paper = light(getComputedStyle(document.body).backgroundColor);
            const against = c => { const [a, b] = [light(c), paper].sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05); };
            const of = (selector, property) => [...document.querySelectorAll(selector)]
                .map(one => against(getComputedStyle(one)[property]));
            return {text: of('p, td, th, figcaption, a', 'color'), plot: of('figure svg text', 'fill')};
        }"""
    )
    assert min(contrasts["text"]) >= 4.5
    assert min(contrasts["plot"]) >= 4.5


def test_the_csv_link_saves_the_numbers(page, report):
    with page.expect_download() as waiting:
        page.locator("figure a[download]").first.click()
    saved = waiting.value
    beside = report.report.parent / "csv" / saved.suggested_filename
    assert saved.path().read_bytes() == beside.read_bytes()
