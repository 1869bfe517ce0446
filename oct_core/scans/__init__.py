"""Pictures of the retina: read, bounded, judged, prepared for a network, corrupted on purpose,
drawn.
"""

from oct_core.scans.edit import crop, invert
from oct_core.scans.limits import DEFAULT, Limits
from oct_core.scans.readers import ScanInfo, is_scan_name, suffixes
from oct_core.scans.readers.pillow import COLOUR_NOTE
from oct_core.scans.reading import inspect, read_scan

__all__ = [
    "COLOUR_NOTE",
    "DEFAULT",
    "Limits",
    "ScanInfo",
    "crop",
    "inspect",
    "invert",
    "is_scan_name",
    "read_scan",
    "suffixes",
]
