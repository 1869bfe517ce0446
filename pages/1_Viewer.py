"""Viewer: a scan, what the models make of it side by side, and where each looked."""

from __future__ import annotations

from pages.ui import viewer_page
from pages.ui.layout import page_setup
from pages.ui.services import shown_errors

page_setup("Viewer")
with shown_errors():
    viewer_page.show()
