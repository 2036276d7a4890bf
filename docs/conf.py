"""Settings of the documentation's site: https://www.sphinx-doc.org/en/master/usage/configuration.html."""

project = "Seedpod"
extensions: list[str] = ["myst_parser"]
html_theme = "furo"
html_title = "Seedpod"
html_copy_source = False
html_show_copyright = False
# Links like image.md#health-check reach headings down to this level.
myst_heading_anchors = 3
nitpicky = True
