"""Synthetic OCT B-scans with the exact mask of their lesion: the app's samples, the tests' data,
the explanations' ground truth.

A phantom is drawn in three steps. An ``_Eye`` holds one curve a column (Bruch's membrane, retinal
thickness, foveal pit ...); the lesion of the class bends these curves and lists what lies inside
the retina; the painter turns curves into reflectivity, and the camera adds shadows, speckle, noise
and gain. Everything but the lesion is drawn alike for all four classes, so brightness, tilt or the
place of the fovea say nothing about the label. No patient data is used.

Layers and their reflectivity follow the IN*OCT consensus (Staurenghi et al., Ophthalmology
2014;121:1572).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from oct_core.errors import DataError, ScanError, UnknownNameError
from oct_core.types import CLASSES, Float32Array, GrayImage, Mask, Phantom

SMALLEST = 64
LARGEST = 2048
SET_SPAN = 100_000

# Lower borders in fractions of the retina's thickness, away from the fovea and in its centre, and
# reflectivity 0 to 1.
_LAYERS: tuple[tuple[str, float, float, float], ...] = (
    ("NFL", 0.10, 0.04, 0.50),
    ("GCL/IPL", 0.36, 0.09, 0.34),
    ("INL", 0.46, 0.13, 0.21),
    ("OPL", 0.54, 0.19, 0.33),
    ("ONL", 0.79, 0.68, 0.18),
    ("ELM", 0.815, 0.71, 0.29),
    ("myoid zone", 0.87, 0.80, 0.20),
    ("EZ", 0.935, 0.90, 0.66),
    ("outer segments", 1.00, 1.00, 0.34),
)
_VITREOUS, _FLUID, _RPE, _CHOROID = 0.035, 0.045, 0.80, 0.30
_FOCUS = 0.80


@dataclass(frozen=True)
class _Blob:
    """A cyst or focus: centre column, depth (0 ILM to 1 outer border), half axes in pixels,
    reflectivity.
    """

    column: float
    depth: float
    half_width: float
    half_height: float
    level: float


@dataclass
class _Eye:
    """One curve a column, float32 (W,), in pixels; ``unit`` is one pixel of a 496-row scan,
    ``fovea`` a column.
    """

    height: int
    width: int
    unit: float
    lateral: float
    fovea: float
    columns: Float32Array
    bruch: Float32Array
    thickness: Float32Array
    pit: Float32Array
    rise: Float32Array
    gap: Float32Array
    material: Float32Array
    under_rpe: float = 0.30
    blobs: list[_Blob] = field(default_factory=list)

    def bump(self, centre: float, half_width: float, power: float = 2.0) -> Float32Array:
        """A bell over the columns, 1 at its centre, exp(-1) at ``half_width``; flatter on top with
        a higher power.
        """
        bell: Float32Array = np.exp(
            -(np.abs((self.columns - centre) / half_width) ** power)
        ).astype(np.float32)
        return bell

    @property
    def rpe(self) -> Float32Array:
        """Row of the RPE's upper face."""
        return self.bruch - self.rise - 7.0 * self.unit

    @property
    def outer(self) -> Float32Array:
        """Row of the neurosensory retina's outer border."""
        return self.rpe - self.gap

    @property
    def ilm(self) -> Float32Array:
        """Row of the inner limiting membrane."""
        return self.outer - self.thickness


def _smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]
) -> Float32Array:
    """Gaussian noise of unit deviation, smoothed."""
    noise = ndimage.gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), sigma, mode="reflect"
    )
    return np.asarray(noise / (noise.std() + 1e-6), dtype=np.float32)


def _stretch(values: Float32Array, length: int) -> Float32Array:
    """Enlarge the first axis to ``length`` by linear interpolation (several times faster than
    ndimage.zoom).
    """
    place = np.linspace(0, len(values) - 1, length, dtype=np.float32)
    lower = np.minimum(place.astype(np.intp), len(values) - 2)
    step = (place - lower).astype(np.float32)[:, None]
    stretched: Float32Array = values[lower] + step * (values[lower + 1] - values[lower])
    return stretched


def _texture(rng: np.random.Generator, height: int, width: int, cell: float) -> Float32Array:
    """A blotchy field (H, W), blotches about ``cell`` pixels wide: noise drawn small, then
    enlarged.
    """
    small = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3), dtype=np.float32)
    wide = _stretch(np.ascontiguousarray(small.T), width)
    return _stretch(np.ascontiguousarray(wide.T), height)


def _healthy_eye(rng: np.random.Generator, height: int, width: int) -> _Eye:
    """A retina without a lesion: place, tilt, curvature, thickness, lateral scale and pit drawn at
    random.
    """
    unit, columns = height / 496, np.arange(width, dtype=np.float32)
    lateral = width / 512 * rng.uniform(0.8, 1.25)
    fovea = width * rng.uniform(0.32, 0.68)
    x = (columns - width / 2) / (width / 2)
    bruch = height * rng.uniform(0.46, 0.68) + unit * (
        rng.normal(0, 32) * x + rng.normal(-14, 20) * x**2
    )
    bruch += unit * rng.uniform(0.3, 1.5) * _smooth_noise(rng, (width,), width / 14)
    distance = (columns - fovea) / lateral
    pit = rng.uniform(0.75, 1.0) * np.exp(-((np.abs(distance) / rng.uniform(38, 62)) ** 1.8))
    shoulder = np.exp(-((distance / rng.uniform(150, 240)) ** 2))
    base = rng.uniform(78, 112)
    thickness = base * (0.86 + 0.26 * shoulder - rng.uniform(0.42, 0.58) * pit)
    thickness += rng.uniform(0.3, 1.2) * _smooth_noise(rng, (width,), width / 30)
    zero = np.zeros(width, dtype=np.float32)
    return _Eye(
        height,
        width,
        unit,
        lateral,
        fovea,
        columns,
        bruch.astype(np.float32),
        (unit * thickness).astype(np.float32),
        pit.astype(np.float32),
        zero,
        zero.copy(),
        zero.copy(),
    )


def _near_fovea(rng: np.random.Generator, eye: _Eye, spread: float) -> float:
    """A column around the fovea, well inside the scan."""
    return float(
        np.clip(rng.normal(eye.fovea, spread * eye.lateral), 0.12 * eye.width, 0.88 * eye.width)
    )


def _press_inwards(eye: _Eye, share: float) -> None:
    """Let the retina give way to what lifts the RPE: it thins by ``share`` of the rise, by half of
    itself at most.
    """
    eye.thickness = eye.thickness - np.minimum(share * eye.rise, 0.5 * eye.thickness)


def _add_drusen(rng: np.random.Generator, eye: _Eye) -> None:
    """Two to nine mounds between RPE and Bruch's membrane; no fluid."""
    eye.under_rpe = rng.uniform(0.30, 0.48)
    for _ in range(int(rng.integers(2, 10))):
        half_width = rng.uniform(8, 22) * eye.lateral
        mound = eye.bump(_near_fovea(rng, eye, 90), half_width, rng.uniform(2.0, 3.0))
        eye.rise = np.maximum(
            eye.rise, eye.unit * half_width / eye.lateral * rng.uniform(0.7, 1.25) * mound
        )
    _press_inwards(eye, 0.8)


def _add_cyst(rng: np.random.Generator, eye: _Eye, column: float, swelling: Float32Array) -> None:
    """A dark upright ellipse between NFL and ELM at ``column``, larger where the retina swells;
    left out if it would merge.
    """
    room = float(eye.thickness[int(column)])
    half_height = rng.uniform(0.06, 0.26) * room * (0.4 + 0.6 * float(swelling[int(column)]))
    margin = half_height / room + 0.09
    depth = rng.uniform(margin, max(0.80 - half_height / room, margin + 0.02))
    half_width = half_height * rng.uniform(0.35, 0.8) * eye.lateral / eye.unit
    cyst = _Blob(column, depth, max(half_width, 1.2), max(half_height, 1.2), _FLUID)
    # Walls stay between cysts: two ellipses are apart if their centres are, in units of their joint
    # half axes.
    if all(
        ((cyst.column - other.column) / (cyst.half_width + other.half_width)) ** 2
        + ((depth - other.depth) * room / (cyst.half_height + other.half_height)) ** 2
        > 0.85
        for other in eye.blobs
    ):
        eye.blobs.append(cyst)


def _add_oedema(rng: np.random.Generator, eye: _Eye) -> None:
    """A thickened retina with dark cysts and bright foci; sometimes fluid beneath it."""
    centre, reach = _near_fovea(rng, eye, 30), rng.uniform(55, 120) * eye.lateral
    swelling = eye.bump(centre, reach)
    eye.thickness = eye.thickness + eye.unit * rng.uniform(25, 85) * swelling
    eye.pit = eye.pit * (1 - 0.6 * swelling)
    if rng.random() < 0.35:
        eye.gap = (
            eye.unit
            * rng.uniform(14, 40)
            * eye.bump(centre, rng.uniform(40, 80) * eye.lateral, 2.6)
        )
    for _ in range(int(rng.integers(8, 28))):
        _add_cyst(
            rng, eye, float(np.clip(rng.normal(centre, 0.55 * reach), 4, eye.width - 5)), swelling
        )
    for _ in range(int(rng.integers(3, 14))):
        column = float(np.clip(rng.normal(centre, reach), 4, eye.width - 5))
        size = rng.uniform(1.3, 3.2)
        focus = _Blob(
            column,
            rng.uniform(0.25, 0.75),
            max(size * eye.lateral, 0.8),
            max(size * eye.unit, 0.8),
            _FOCUS,
        )
        eye.blobs.insert(0, focus)  # foci first: a cyst hides the focus it lies over


def _add_neovascularisation(rng: np.random.Generator, eye: _Eye) -> None:
    """A lifted RPE, material above it and fluid under the retina; sometimes a few cysts."""
    centre, reach = _near_fovea(rng, eye, 40), rng.uniform(45, 105) * eye.lateral
    kind = rng.choice(3, p=(0.45, 0.35, 0.2))
    lift = rng.uniform(30, 85) if kind == 0 else rng.uniform(10, 28)
    rough = 1 + 0.13 * _smooth_noise(rng, (eye.width,), 7 * eye.lateral)
    eye.rise = (
        eye.unit * lift * eye.bump(centre, reach, rng.uniform(2.0, 3.0)) * np.clip(rough, 0.5, 1.5)
    ).astype(np.float32)
    eye.under_rpe = rng.uniform(0.10, 0.40)
    if kind != 0 or rng.random() < 0.5:
        beside = centre + rng.normal(0, 0.4) * reach
        lump = eye.bump(beside, reach * rng.uniform(0.5, 0.9), 2.4) * np.clip(rough, 0.5, 1.5)
        eye.material = (eye.unit * rng.uniform(14, 42) * lump).astype(np.float32)
    fluid = (
        eye.unit
        * rng.uniform(10, 40)
        * eye.bump(centre + rng.normal(0, 0.7) * reach, reach * rng.uniform(0.8, 1.3), 2.6)
    )
    eye.gap = eye.material + (fluid if kind != 0 or rng.random() < 0.7 else 0 * fluid)
    eye.pit = eye.pit * (1 - 0.4 * eye.bump(centre, reach))
    # The inner retina drapes smoothly over a rough lesion.
    raised = eye.rise + eye.gap
    draped = ndimage.gaussian_filter1d(raised, 12 * eye.lateral, mode="nearest") * rng.uniform(
        0.7, 1.0
    )
    eye.thickness = np.maximum(eye.thickness + draped - raised, 0.5 * eye.thickness)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(2, 7))):
            column = float(np.clip(rng.normal(centre, reach), 4, eye.width - 5))
            half = max(rng.uniform(3, 8) * eye.unit, 1.2)
            eye.blobs.append(
                _Blob(column, rng.uniform(0.35, 0.65), half * rng.uniform(0.8, 1.4), half, _FLUID)
            )


def _leave_healthy(rng: np.random.Generator, eye: _Eye) -> None:
    """A normal retina has no lesion."""


_LESIONS: dict[str, Callable[[np.random.Generator, _Eye], None]] = {
    "CNV": _add_neovascularisation,
    "DME": _add_oedema,
    "DRUSEN": _add_drusen,
    "NORMAL": _leave_healthy,
}


def _paint_layers(eye: _Eye, rows: Float32Array) -> Float32Array:
    """Reflectivity (H, W) of vitreous and neurosensory retina: a border a layer, counted from
    above.
    """
    level = np.array([_VITREOUS, *(layer[3] for layer in _LAYERS)], dtype=np.float32)
    index = (rows >= eye.ilm).astype(np.uint8)
    for _, border, foveal_border, _ in _LAYERS[:-1]:
        index += rows >= eye.ilm + eye.thickness * (border + (foveal_border - border) * eye.pit)
    return level[index]


def _paint_below(
    rng: np.random.Generator, eye: _Eye, rows: Float32Array, image: Float32Array
) -> Mask:
    """Paint fluid, material, RPE, what lies under it, and the choroid into ``image``; return the
    lesion among them.
    """
    shape = (eye.height, eye.width)
    grain = _texture(rng, *shape, 5 * max(eye.unit, 0.4))
    gap = (rows >= eye.outer) & (rows < eye.rpe)
    material = gap & (rows >= eye.rpe - eye.material)
    beneath = (rows >= eye.rpe + 7 * eye.unit) & (rows < eye.bruch)
    choroid = rows >= eye.bruch
    np.copyto(image, np.float32(_FLUID), where=gap)
    np.copyto(image, 0.46 + 0.07 * grain, where=material)
    np.copyto(image, np.float32(_RPE), where=(rows >= eye.rpe) & ~choroid)
    np.copyto(image, eye.under_rpe + 0.05 * grain, where=beneath)
    below = np.maximum(rows - eye.bruch, 0) / eye.unit
    vessels = _texture(rng, *shape, 20 * max(eye.unit, 0.4))
    depth = rng.uniform(40, 120)
    tissue = (
        _CHOROID * np.exp(-below / depth) * np.clip(1 + 0.34 * vessels + 0.12 * grain, 0.25, 1.8)
        + _VITREOUS
    )
    np.copyto(image, tissue, where=choroid)
    lifted = (eye.rise > max(1.5 * eye.unit, 0.5)) & (rows >= eye.rpe) & ~choroid
    return lifted | (gap & (eye.gap > max(1.5 * eye.unit, 0.5)))


def _paint_blob(eye: _Eye, blob: _Blob, image: Float32Array) -> Mask:
    """Paint an ellipse clipped to the retina into ``image``; return it as a mask of the whole
    picture.
    """
    column = int(np.clip(round(blob.column), 0, eye.width - 1))
    centre = float(eye.ilm[column] + blob.depth * eye.thickness[column])
    top, bottom = (
        int(max(centre - blob.half_height - 1, 0)),
        int(min(centre + blob.half_height + 2, eye.height)),
    )
    left, right = (
        int(max(blob.column - blob.half_width - 1, 0)),
        int(min(blob.column + blob.half_width + 2, eye.width)),
    )
    y, x = np.ogrid[top:bottom, left:right]
    inside = ((y - centre) / blob.half_height) ** 2 + (
        (x - blob.column) / blob.half_width
    ) ** 2 <= 1
    inside &= (y >= eye.ilm[left:right] + 2 * eye.unit) & (y < eye.outer[left:right])
    image[top:bottom, left:right][inside] = blob.level
    mask = np.zeros((eye.height, eye.width), dtype=np.bool_)
    mask[top:bottom, left:right] = inside
    return mask


def _shadows(rng: np.random.Generator, eye: _Eye) -> Float32Array:
    """Transmission (W,) below the inner retina, 0.3 to 1: a few vessels cast shadows, and a lens or
    a lid darkens one side.
    """
    transmission = np.ones(eye.width, dtype=np.float32)
    for _ in range(int(rng.integers(1, 7))):
        centre, half_width = rng.uniform(0, eye.width), rng.uniform(2, 7) * eye.lateral
        transmission *= 1 - rng.uniform(0.15, 0.55) * eye.bump(centre, half_width, 3.0)
    side = (eye.columns / eye.width - 0.5) * rng.choice((-1.0, 1.0))
    transmission *= 1 - rng.uniform(0, 0.45) * np.clip(side * 2, 0, 1) ** 2
    return np.clip(transmission, 0.3, 1).astype(np.float32)


def _photograph(
    rng: np.random.Generator, eye: _Eye, rows: Float32Array, image: Float32Array
) -> GrayImage:
    """Reflectivity to gray values: optics, shadows, multiplicative speckle, additive noise,
    contrast and gain.
    """
    shape = (eye.height, eye.width)
    image = ndimage.gaussian_filter(
        image, (rng.uniform(0.8, 1.4) * eye.unit, rng.uniform(0.7, 1.3) * eye.unit)
    )
    deep = rows >= eye.ilm + 0.12 * eye.thickness
    image = np.where(deep, image * _shadows(rng, eye), image)
    speckle = rng.standard_normal(shape, dtype=np.float32)
    if eye.unit > 0.5:
        speckle = ndimage.uniform_filter1d(speckle, 2, axis=1) * np.float32(1.3)
    image = image * np.exp(rng.uniform(0.14, 0.34) * speckle)
    image = image + rng.uniform(0.010, 0.045) * rng.standard_normal(shape, dtype=np.float32)
    gray = 255 * rng.uniform(0.75, 1.15) * np.clip(image, 0, 1.3) ** rng.uniform(
        0.85, 1.2
    ) + rng.uniform(0, 10)
    pixels: GrayImage = np.clip(np.rint(gray), 0, 255).astype(np.uint8)
    return pixels


def _check_request(label: str, seed: int, height: int, width: int) -> None:
    if label not in _LESIONS:
        raise UnknownNameError(
            "expected a class of {classes}; got {label!r}. Write it in capitals, as listed.",
            classes=", ".join(CLASSES),
            label=label,
        )
    if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
        raise ScanError(
            "expected a phantom of {smallest} to {largest} pixels a side; got height {height}, "
            "width {width}. Draw it within these bounds and resize the picture.",
            smallest=SMALLEST,
            largest=LARGEST,
            height=height,
            width=width,
        )
    if seed < 0:
        raise DataError(
            "expected a seed of 0 or more; got {seed}. Use any non-negative whole number.",
            seed=seed,
        )


def make_phantom(label: str, seed: int, height: int = 496, width: int = 512) -> Phantom:
    """Draw one synthetic B-scan; the same (label, seed, size) gives the same pixels.

    label : one of CLASSES. seed : 0 or more. height, width : pixels, 64 to 2048; the default is a
    common size of real scans.

    Returns a Phantom: pixels uint8 (H, W); lesion bool (H, W), for CNV the lifted RPE, material and
    fluid, for DME cysts, foci and subretinal fluid, for DRUSEN the mounds with the RPE over them,
    for NORMAL nothing; retina bool (H, W), from the inner limiting membrane to Bruch's membrane.
    The lesion lies inside the retina.

    Raises UnknownNameError for another label, ScanError for a size out of bounds, DataError for a
    negative seed.
    """
    _check_request(label, seed, height, width)
    rng = np.random.default_rng([CLASSES.index(label), seed])
    eye = _healthy_eye(rng, height, width)
    _LESIONS[label](rng, eye)
    # A tall lesion must not push the retina out of the picture.
    eye.bruch = eye.bruch + np.float32(max(0.0, 0.06 * height - float(eye.ilm.min())))
    rows: Float32Array = np.arange(height, dtype=np.float32)[:, None]
    image = _paint_layers(eye, rows)
    lesion = _paint_below(rng, eye, rows, image)
    for blob in eye.blobs:
        lesion |= _paint_blob(eye, blob, image)
    retina = (rows >= eye.ilm) & (rows < eye.bruch)
    return Phantom(_photograph(rng, eye, rows, image), label, seed, lesion & retina, retina)


def phantom_set(per_class: int, seed: int, height: int = 496, width: int = 512) -> list[Phantom]:
    """Draw ``per_class`` phantoms of each class, class by class in the order of CLASSES.

    The i-th of a class has the seed ``seed * 100000 + i``, so that sets of different seeds share no
    phantom. Raises DataError unless per_class is 1 to 100000; else as make_phantom.
    """
    if not 1 <= per_class <= SET_SPAN:
        raise DataError(
            "expected 1 to {set_span} phantoms a class; got {per_class}. Ask for more in sets of "
            "other seeds.",
            set_span=SET_SPAN,
            per_class=per_class,
        )
    return [
        make_phantom(label, seed * SET_SPAN + i, height, width)
        for label in CLASSES
        for i in range(per_class)
    ]
