"""Viewer: a scan, what the models make of it side by side, and where each looked."""

from __future__ import annotations

from oct_core.words import message
from pages.ui.app.layout import open_page
from pages.ui.app.services import errors_on_page
from pages.ui.viewer import page as viewer_page

with open_page(message("Viewer")), errors_on_page():
    viewer_page.show()
