"""How Sphinx builds these pages: python -m sphinx -W -n -b html docs docs/_build"""

project = "What three CNNs see in a retinal OCT scan"
author = "the authors of oct-core"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
myst_heading_anchors = 3
"""Links may name a heading as GitHub does: page.md#a-heading."""
html_theme = "furo"
html_title = "OCT scans and CNNs"
html_copy_source = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
