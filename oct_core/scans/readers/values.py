"""Values of any range, as 16 bit and float pictures hold them, at 0 to 255.

A range from the least to the greatest value is right for a sound picture, and turns it black or
white where one pixel is hot (65535), stands for "no data" (-9999) or is no number. So values that
no scan has beside the rest do not set the range; they are cut to it, and the notes say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from oct_core.errors import ScanError
from oct_core.types import FloatArray, GrayImage
from oct_core.words import note, note_count

_TAILS = ((0.1, 1.0), (1.0, 4.0))
"""(percent of the pixels at each end, spans between the two percentiles that a value may lie beyond
them and still set the range)."""
_FAR = 5.0
"""A value that many pixels share does not set the range if it lies so many ranges of the other
values away from them; noise and text reach less."""
_NEGATIVE = 0.02
"""The same for negative values below values that are none: nothing measured is so."""
_SENTINELS = 4
"""So many values at most stand for "no data" in a picture."""
_ENOUGH = 500_000
_NO_NUMBER = 1e30
"""From here on a value stands for "no data", as the greatest float does, or is none."""
_LEGIBLE = (1e-4, 1e12)


@dataclass(frozen=True)
class Scaled:
    """pixels : uint8, of the shape of the values. notes : what was done. warnings : those of the
    notes that tell of values cut or missing.
    """

    pixels: GrayImage
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def scale_values(values: FloatArray, white_is_zero: bool = False) -> Scaled:
    """float64 values of any shape and range at 0 (least) to 255 (greatest), or turned round.

    What is no number, or 1e30 and more, becomes black. Raises ScanError if nothing of a range is
    left: most pixels are no numbers, or all but a few have one value.
    """
    finite = np.abs(values) < _NO_NUMBER  # False for what is none
    numbers = values[finite]
    if 2 * numbers.size <= values.size:
        raise ScanError(
            "most of the picture's values are no numbers; export it as an 8 or 16 bit gray PNG"
        )
    inside = _measured(numbers)
    low, high = float(inside.min()), float(inside.max())
    least, most = _percentiles(inside, _TAILS[0][0])
    if least == most:
        raise ScanError(
            "the picture has one value, {value}, nearly everywhere and shows nothing; export it "
            "again as an 8 or 16 bit gray PNG",
            value=format_value(float(np.median(inside))),
        )
    share = (np.clip(values, low, high) - low) / (high - low)
    share = np.where(finite, 1 - share if white_is_zero else share, 0)
    warnings = _warnings(values.size, numbers, low, high)
    scaled = note(
        "values {low} to {high} scaled to 0 to 255", low=format_value(low), high=format_value(high)
    )
    return Scaled(np.round(share * 255).astype(np.uint8), (scaled, *warnings), warnings)


def _warnings(total: int, numbers: FloatArray, low: float, high: float) -> tuple[str, ...]:
    warnings = []
    if total > numbers.size:
        warnings.append(
            note_count(
                "{count} pixel holds no number and is black",
                "{count} pixels hold no number and are black",
                total - numbers.size,
            )
        )
    beyond = int(np.count_nonzero((numbers < low) | (numbers > high)))
    if beyond:
        warnings.append(
            note_count(
                "{count} pixel far outside this range ({least} to {greatest} in the file) was cut "
                "to it",
                "{count} pixels far outside this range ({least} to {greatest} in the file) were "
                "cut to it",
                beyond,
                least=format_value(float(numbers.min())),
                greatest=format_value(float(numbers.max())),
            )
        )
    return tuple(warnings)


def _measured(numbers: FloatArray) -> FloatArray:
    """The values without hot pixels and sentinels."""
    inside = _without_negatives(numbers)
    for _ in range(_SENTINELS):
        rest = _without_sentinel(_without_tails(inside))
        if rest.size == inside.size:
            break
        inside = rest
    return inside


def _without_tails(numbers: FloatArray) -> FloatArray:
    """Without the few values that lie far beyond nearly all others."""
    for percent, spans in _TAILS:
        low, high = _percentiles(numbers, percent)
        if low < high:
            reach = spans * (high - low)
            numbers = numbers[(numbers >= low - reach) & (numbers <= high + reach)]
    return numbers


def _percentiles(numbers: FloatArray, percent: float) -> tuple[float, float]:
    """At both ends; of a large picture from a part of its pixels."""
    part = numbers[:: numbers.size // _ENOUGH | 1]
    low, high = np.percentile(part, [percent, 100 - percent])
    return float(low), float(high)


def _without_negatives(numbers: FloatArray) -> FloatArray:
    """Without negative values, if they are few of many pixels below values that are none."""
    negative, rest = numbers[numbers < 0], numbers[numbers >= 0]
    if not negative.size or not rest.size or np.unique(negative).size > _SENTINELS:
        return numbers
    inner = _without_tails(rest)
    least = float(inner.min()) - _NEGATIVE * float(inner.max() - inner.min())
    return numbers[numbers >= least]


def _without_sentinel(numbers: FloatArray) -> FloatArray:
    """Without the least or the greatest value, if it stands far from all others."""
    for end, sign in ((numbers.min(), 1.0), (numbers.max(), -1.0)):
        rest: FloatArray = numbers[numbers != end]
        if not rest.size:
            return numbers
        inner = _without_tails(rest)
        size = float(inner.max() - inner.min())
        gap = sign * float((inner.min() if sign > 0 else inner.max()) - end)
        if size and gap > size * _FAR:
            return rest
    return numbers


def format_value(value: float) -> str:
    """A value as a person reads it: 4095, -0.25, 3.4 x 10^12; four digits of what is no whole
    number.
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size < _LEGIBLE[1] and value == int(value):
        return str(int(value))
    if _LEGIBLE[0] <= size < _LEGIBLE[1]:
        digits = max(0, 3 - math.floor(math.log10(size)))
        text = f"{value:.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    exponent = math.floor(math.log10(size))
    return f"{value / 10.0**exponent:.1f} x 10^{exponent}"
