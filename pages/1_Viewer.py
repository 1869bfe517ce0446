"""Viewer: a scan, what the models make of it side by side, and where each looked."""

from __future__ import annotations

from pages.ui.app.layout import page_setup
from pages.ui.app.services import shown_errors
from pages.ui.viewer import page as viewer_page

page_setup("Viewer")
with shown_errors():
    viewer_page.show()
