"""Pictures of the retina: read, bounded, judged, prepared for a network, corrupted on purpose,
drawn.
"""

from oct_core.scans.readers.picture import (
    COLOUR_NOTE,
    DEFAULT,
    CropBox,
    Limits,
    ScanInfo,
    crop,
    inspect,
    invert,
    read_scan,
)

__all__ = [
    "COLOUR_NOTE",
    "DEFAULT",
    "CropBox",
    "Limits",
    "ScanInfo",
    "crop",
    "inspect",
    "invert",
    "read_scan",
]
