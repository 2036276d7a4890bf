"""Open the page with the treemap of an image as a person does, and take pictures of it.

    view_size.py FOLDER

In: size.html in the folder, and names.json: a text to search, and the bytes of the image. Out:
light.png and dark.png. The exit status is 0 if all was as expected.
"""

import json
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright


def look(page: Page, searched: str, size: int) -> None:
    """Zoom, move and search, with the keyboard alone."""
    items = page.locator("#map > [role=button]")
    path = page.locator("#path li")
    told = page.locator("#told")
    expect(told).to_contain_text(f"{size:,} bytes")
    items.first.focus()
    page.keyboard.press("Enter")
    expect(path).to_have_count(2)
    # What is zoomed into has the focus, and arrows go from one to the next.
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert None not in (first, second)
    assert first != second, first
    page.keyboard.press("Enter")
    expect(path).to_have_count(3)
    page.keyboard.press("Backspace")
    expect(path).to_have_count(2)
    page.keyboard.press("Escape")
    expect(path).to_have_count(1)
    page.keyboard.press("/")
    page.keyboard.type(searched)
    expect(page.locator("#listed")).to_contain_text("found")
    expect(page.locator("#list button").first).to_contain_text(searched)
    # A file is shown in its folder, with all folders on the way.
    page.locator("#list button").first.click()
    expect(told).to_contain_text(searched)
    page.locator("#path button").first.click()
    page.locator("#search").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#listed")).to_contain_text("In ")


def main() -> None:
    """Do it with the folder that the argument names."""
    folder = Path(sys.argv[1])
    searched, size = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1360, "height": 850}, color_scheme=scheme)
            errors: list[str] = []
            page.on("console", lambda message, errors=errors: errors.append(message.text))
            page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            page.on("dialog", lambda dialog, errors=errors: errors.append(dialog.message))
            started = time.monotonic()
            page.goto(f"file://{folder}/size.html")
            expect(page.locator("#map > [role=button]").first).to_be_visible()
            print(f"{scheme}: open after {time.monotonic() - started:.2f} s")
            page.screenshot(path=folder / f"{scheme}.png")
            look(page, searched, size)
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            page.locator("#theme").click()
            page.locator("#theme").click()
            other = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (colour == other) == (scheme == "dark"), (colour, other)
            assert not errors, errors
        browser.close()


if __name__ == "__main__":
    main()
