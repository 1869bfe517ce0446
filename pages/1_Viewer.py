"""Viewer: a scan, what the models make of it side by side, and where each looked."""

from __future__ import annotations

from oct_core.words import say
from pages.ui.app.layout import page_setup
from pages.ui.app.services import errors_on_page
from pages.ui.viewer import page as viewer_page

page_setup(say("Viewer"))
with errors_on_page():
    viewer_page.show()
