"""Pictures of the retina: read, bounded, judged, prepared for a network, corrupted on purpose,
drawn.
"""

from oct_core.scans.colour import COLOUR_NOTE, is_coloured
from oct_core.scans.edit import CHANGES, crop, invert, take_luminance, turn, undo_change
from oct_core.scans.folders import PassedOver, is_hidden_folder, walk
from oct_core.scans.limits import DEFAULT, Limits
from oct_core.scans.others import HEAD, tell_apart, why_passed_over
from oct_core.scans.readers import ScanInfo, format_names, is_scan_name, suffixes
from oct_core.scans.readers.base import is_page_note
from oct_core.scans.reading import check_bytes, inspect, read_file, read_scan

__all__ = [
    "HEAD",
    "CHANGES",
    "COLOUR_NOTE",
    "DEFAULT",
    "Limits",
    "PassedOver",
    "ScanInfo",
    "check_bytes",
    "crop",
    "format_names",
    "inspect",
    "invert",
    "is_coloured",
    "is_hidden_folder",
    "is_page_note",
    "is_scan_name",
    "read_file",
    "read_scan",
    "suffixes",
    "take_luminance",
    "tell_apart",
    "turn",
    "undo_change",
    "walk",
    "why_passed_over",
]
