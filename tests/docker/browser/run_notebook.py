"""Open a notebook in JupyterLab, run all of its cells, and take a picture of the result.

    run_notebook.py ADDRESS PICTURE

The exit status is 0 if a plot and no error was seen.
"""

import sys

from playwright.sync_api import expect, sync_playwright

MOST_MILLISECONDS = 60_000


def main() -> None:
    """Do it with the address, token included, and the file that the arguments name."""
    address, picture = sys.argv[1:]
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(MOST_MILLISECONDS)
        page.goto(address)
        expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible()
        page.locator(".lm-MenuBar-itemLabel").get_by_text("Run", exact=True).click()
        page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
        plot = page.locator(".jp-RenderedImage img")
        expect(plot).to_have_count(1, timeout=MOST_MILLISECONDS)
        plot.scroll_into_view_if_needed()
        expect(page.locator(".jp-OutputArea-output[data-mime-type*=error]")).to_have_count(0)
        page.wait_for_timeout(1_000)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
