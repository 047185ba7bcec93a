"""The report in a real browser that has no network."""

from playwright.sync_api import Browser

from workbench import Study


def test_a_report_opens_without_a_network_and_shows_its_pictures(browser: Browser, study: Study, tmp_path) -> None:
    path = study.report(tmp_path / "report.html")
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    widths = page.eval_on_selector_all(".samples img", "images => images.map(image => image.naturalWidth)")
    assert widths and all(width == 28 for width in widths)
    page.locator("g.mark").first.hover()
    assert page.locator("#tip").is_visible() and "Trial 0" in page.locator("#tip").inner_text()
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0  # nothing hangs out at the side
    assert page.pdf()[:5] == b"%PDF-"
    assert errors == []
    context.close()
