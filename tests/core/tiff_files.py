"""TIFF files of any kind, written tag by tag: what devices write and no library does."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff_page(
    pixels: NDArray[np.generic],
    *,
    photometric: int = 1,
    extra: Sequence[int] = (),
    planar: bool = False,
    order: str = "<",
    **more: int,
) -> bytes:
    """A TIFF of one uncompressed page. pixels : (H, W) or (H, W, channels). order : of the bytes,
    "<" or ">". more : further tags as ``tag254=1``.
    """
    height, width, *channels = pixels.shape
    samples = channels[0] if channels else 1
    ordered = np.moveaxis(pixels, 2, 0) if planar else pixels
    data = np.ascontiguousarray(ordered).astype(pixels.dtype.newbyteorder(order)).tobytes()
    planes = samples if planar else 1
    size = len(data) // planes
    bits, numbers = pixels.dtype.itemsize * 8, _FORMATS[pixels.dtype.kind]
    tags = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * samples),
        259: ("H", [1]),
        262: ("H", [photometric]),
        273: ("I", [8 + size * plane for plane in range(planes)]),
        277: ("H", [samples]),
        278: ("I", [height]),
        279: ("I", [size] * planes),
        284: ("H", [2 if planar else 1]),
        339: ("H", [numbers] * samples),
        **({338: ("H", list(extra))} if extra else {}),
        **{int(name.removeprefix("tag")): ("I", [value]) for name, value in more.items()},
    }
    table, beside, start = struct.pack(order + "H", len(tags)), b"", 8 + len(data)
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(packed) > 4:
            place = start + len(beside)
            beside += packed
            packed = struct.pack(order + "I", place)
        field = {"H": 3, "I": 4}[kind]
        table += struct.pack(order + "HHI", tag, field, len(values)) + packed.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", start + len(beside))
    return head + data + beside + table + bytes(4)
