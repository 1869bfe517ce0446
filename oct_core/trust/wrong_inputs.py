"""Pictures that are no B-scan, other anatomy, and scans changed on purpose: what a gate is fitted
against and measured on. All are drawn here; no picture of anybody is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage, special

from oct_core.registry import Registry
from oct_core.scans.colour import paint_falsely
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, FloatArray, GrayImage, Scan
from oct_core.words import message

Picture = Callable[[np.random.Generator, int, int], FloatArray]
"""(generator, height, width) -> gray values (height, width), about 0 to 1."""

PICTURES: Registry[Picture] = Registry(message("kind of picture"))
"""Pictures that are no retinal B-scan."""
_PERCEPTIBLE = ("rainbow", "jet", "hue", "cool")
ANATOMY: Registry[Picture] = Registry(message("kind of picture"))
"""Tomograms of something else than a retina."""


def draw_picture(kind: str, seed: int) -> Scan:
    """A picture of that kind, in PICTURES or ANATOMY; the same seed gives the same pixels. Raises
    UnknownNameError.
    """
    registry = ANATOMY if kind in ANATOMY else PICTURES
    draw = registry.get(kind)
    rng = np.random.default_rng([list(registry).index(kind), seed])
    height, width = ((384, 384), (496, 512), (300, 400), (512, 384))[int(rng.integers(4))]
    gray = draw(rng, height, width)
    pixels: GrayImage = np.round(np.clip(gray, 0, 1) * 255).astype(np.uint8)
    return Scan(pixels, name=f"{kind} #{seed}", source="sample")


def _picture(name: str, registry: Registry[Picture] = PICTURES) -> Callable[[Picture], Picture]:
    return lambda draw: registry.add(name, draw)


def _clouds(rng: np.random.Generator, height: int, width: int, power: float) -> FloatArray:
    """Noise whose amplitude falls as frequency to that power, 0 to 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    rows = np.fft.fftfreq(height)[:, None] * height
    columns = np.fft.rfftfreq(width)[None] * width
    spectrum /= np.maximum(np.hypot(rows, columns), 1.0) ** power
    field = np.fft.irfft2(spectrum, (height, width))
    return np.asarray((field - field.min()) / (np.ptp(field) + 1e-9))


def _grid(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Rows and columns from -1 to 1, each (height, width)."""
    rows, columns = np.meshgrid(
        np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"
    )
    return rows, columns


def _canvas(height: int, width: int, level: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (width, height), round(255 * level))
    return image, ImageDraw.Draw(image)


def _values(image: Image.Image, blur: float = 0.0) -> FloatArray:
    return np.asarray(ndimage.gaussian_filter(np.asarray(image) / 255.0, blur))


def _tree(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float, float],
    size: float,
) -> None:
    """A vessel that wanders and branches. start : column, row, direction in radians. size : width
    in pixels.
    """
    column, row, angle = start
    for _ in range(int(rng.integers(25, 45))):
        angle += rng.normal(0, 0.16)
        step = 4 + size
        end = (column + step * np.cos(angle), row + step * np.sin(angle))
        draw.line((column, row, *end), fill=255, width=max(1, round(size)))
        column, row = end
        if size > 1.6 and rng.random() < 0.12:
            _tree(rng, draw, (column, row, angle + rng.choice((-0.7, 0.7))), size * 0.62)
        size = max(1.0, size * 0.975)


def _vessels(rng: np.random.Generator, height: int, width: int, stems: int) -> FloatArray:
    """Vessels that leave one point, 0 to 1."""
    image, draw = _canvas(height, width, 0)
    column, row = width * rng.uniform(0.15, 0.85), height * rng.uniform(0.35, 0.65)
    for stem in range(stems):
        angle = 2 * np.pi * (stem + rng.uniform(-0.3, 0.3)) / stems
        _tree(rng, draw, (column, row, angle), rng.uniform(3, 6) * width / 400)
    return _values(image, 0.7)


@_picture(message("one gray value"))
def _uniform(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    level = rng.choice((0.0, 1.0, rng.uniform(0, 1)))
    return np.full((height, width), level) + rng.normal(0, rng.choice((0, 0.02)), (height, width))


@_picture(message("gradient"))
def _gradient(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    rows, columns = _grid(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * rows + np.sin(angle) * columns
    if rng.random() < 0.4:
        ramp = np.hypot(rows - rng.uniform(-1, 1), columns - rng.uniform(-1, 1)) - 1
    return np.asarray(0.5 + rng.uniform(0.2, 0.5) * ramp)


@_picture(message("white noise"))
def _white_noise(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    cell = int(rng.choice((1, 1, 2, 4)))
    noise = rng.normal(rng.uniform(0.2, 0.6), rng.uniform(0.1, 0.4), (height, width))
    return np.asarray(
        np.kron(noise[: -(-height // cell), : -(-width // cell)], np.ones((cell, cell)))
    )[:height, :width]


@_picture(message("speckle without a retina"))
def _speckle_only(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """What a device records when it misses the retina: its own noise, at most a haze."""
    rows, _ = _grid(height, width)
    level = rng.uniform(0.05, 0.3) + rng.uniform(0, 0.15) * np.cos(rows * np.pi / 2)
    return np.asarray(level * ndimage.gaussian_filter(rng.rayleigh(0.8, (height, width)), 0.6))


@_picture(message("clouds"))
def _cloud_picture(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    return _clouds(rng, height, width, rng.uniform(0.8, 2.2))


@_picture(message("checkerboard"))
def _checkerboard(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    rows, columns = np.mgrid[:height, :width]
    cell = int(rng.integers(8, 60))
    low, high = sorted(rng.uniform(0, 1, 2))
    if rng.random() < 0.4:
        rows, columns = rows + columns, rows - columns
    return np.asarray(np.where((rows // cell + columns // cell) % 2, low, high + 0.1))


@_picture(message("stripes"))
def _stripes(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    rows, columns = np.mgrid[:height, :width]
    place = columns if rng.random() < 0.6 else rows
    wave = np.sin(2 * np.pi * place / rng.uniform(8, 90))
    return np.asarray(0.5 + 0.45 * (np.sign(wave) if rng.random() < 0.5 else wave))


def _words(rng: np.random.Generator, count: int) -> str:
    letters = np.array(list("aaabcdeeefghiiklmnnooprssttuvw"))
    return " ".join("".join(rng.choice(letters, int(rng.integers(2, 11)))) for _ in range(count))


@_picture(message("page of text"))
def _text(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    dark = rng.random() < 0.25
    image, draw = _canvas(height, width, 0.05 if dark else rng.uniform(0.85, 1))
    size = float(rng.uniform(9, 24))
    font = ImageFont.load_default(size)
    left = rng.uniform(0.03, 0.15) * width
    for top in np.arange(rng.uniform(0, 0.15) * height, height, size * rng.uniform(1.2, 1.9)):
        if rng.random() < 0.9:
            draw.text((left, top), _words(rng, 14), fill=230 if dark else 25, font=font)
    return _values(image, float(rng.uniform(0, 0.7)))


@_picture(message("chart"))
def _chart(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    image, draw = _canvas(height, width, rng.choice((1.0, 0.95, 0.08)))
    ink = 30 if image.getpixel((0, 0)) > 128 else 220  # type: ignore[operator]
    left, bottom = 0.12 * width, 0.88 * height
    draw.line((left, 0.05 * height, left, bottom, 0.97 * width, bottom), fill=ink, width=2)
    for tick in np.linspace(0.1, 0.85, 6):
        draw.text((4, tick * height), f"{rng.integers(1, 99)}", fill=ink)
        draw.line((left, tick * height, 0.97 * width, tick * height), fill=150)
    if rng.random() < 0.5:
        edges = np.linspace(left, 0.95 * width, int(rng.integers(5, 16)))
        for start, end in itertools.pairwise(edges):
            top = bottom - rng.uniform(0.05, 0.75) * height
            draw.rectangle((start + 3, top, end - 3, bottom), fill=int(rng.integers(60, 200)))
    else:
        across = np.linspace(left, 0.95 * width, 60)
        for _ in range(int(rng.integers(1, 4))):
            walk = np.cumsum(rng.normal(0, 0.03, 60)) + rng.uniform(0.3, 0.6)
            line = [(float(x), float(y * height)) for x, y in zip(across, walk, strict=True)]
            draw.line(line, fill=int(rng.integers(20, 180)), width=3)
    return _values(image)


@_picture(message("page with a thumbnail"))
def _report_page(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A document that shows a B-scan in a part of it."""
    page = _text(rng, height, width)
    scan = make_phantom(CLASSES[int(rng.integers(4))], 3_000_000 + int(rng.integers(1000)))
    share = rng.uniform(0.25, 0.5)
    size = (int(share * width), int(share * height * 0.8))
    small = np.asarray(Image.fromarray(scan.pixels).resize(size)) / 255
    top = int(rng.uniform(0, height - size[1]))
    left = int(rng.uniform(0, width - size[0]))
    page[top : top + size[1], left : left + size[0]] = small
    return page


@_picture(message("fundus photograph"))
def _fundus(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    rows, columns = _grid(height, width)
    scale = min(height, width)
    radius = np.hypot(rows * height / scale, columns * width / scale)
    vessels = _vessels(rng, height, width, 6)
    disc = np.exp(
        -(((rows - rng.uniform(-0.1, 0.1)) ** 2 + (columns - rng.choice((-0.5, 0.5))) ** 2) / 0.02)
    )
    gray = rng.uniform(0.3, 0.6) - 0.15 * radius + 0.45 * disc - 0.22 * vessels
    gray = gray + 0.08 * (_clouds(rng, height, width, 1.2) - 0.5)
    gray = gray - 0.12 * np.exp(-(rows**2 + columns**2) / 0.03)
    return np.asarray(np.where(radius < rng.uniform(0.88, 1.05), gray, 0.0))


@_picture(message("en face picture"))
def _en_face(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    gray = rng.uniform(0.3, 0.55) + 0.2 * (_clouds(rng, height, width, 1.4) - 0.5)
    gray = gray - rng.uniform(0.15, 0.3) * _vessels(rng, height, width, 6)
    grain = rng.gamma(8, 1 / 8, (height, width)) if rng.random() < 0.7 else 1.0
    return np.asarray(gray * ndimage.gaussian_filter(grain, 0.5) if np.ndim(grain) else gray)


@_picture(message("OCT angiogram"))
def _angiogram(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A bright mesh of capillaries on black, with larger vessels and a dark avascular zone."""
    mesh = np.abs(_clouds(rng, height, width, 0.6) - 0.5)
    mesh = ndimage.gaussian_filter(mesh, 1.2)
    mesh = np.clip(1 - mesh / np.percentile(mesh, rng.uniform(40, 70)), 0, 1)
    rows, columns = _grid(height, width)
    zone = 1 - np.exp(-(((rows**2 + columns**2) / 0.03) ** 3))
    gray = mesh * zone + 0.7 * _vessels(rng, height, width, 5)
    return np.asarray(gray + rng.uniform(0.02, 0.12) * rng.rayleigh(0.6, (height, width)))


@_picture(message("chest radiograph"))
def _chest(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    rows, columns = _grid(height, width)
    gray = 0.75 - 0.25 * columns**2 + 0.06 * rng.standard_normal()
    for side in (-1, 1):
        lung = ((columns - side * 0.42) / 0.3) ** 2 + ((rows + 0.02) / 0.72) ** 2
        gray = gray - 0.5 * np.clip(1.2 - lung, 0, 0.8)
    ribs = np.sin((rows + 0.45 * np.abs(columns) ** 2) * rng.uniform(18, 26) + rng.uniform(0, 6))
    gray = gray + 0.07 * np.clip(ribs, 0, 1) * (np.abs(columns) > 0.1)
    gray = gray + 0.25 * np.exp(-((columns / 0.08) ** 2))
    heart = ((columns - 0.18) / 0.3) ** 2 + ((rows - 0.35) / 0.35) ** 2
    gray = gray + 0.35 * np.clip(1 - heart, 0, 0.7)
    return np.asarray(gray + 0.06 * (_clouds(rng, height, width, 1.0) - 0.5))


@_picture(message("face"))
def _face(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Head, hair, eyes and mouth as soft blobs before a background."""
    rows, columns = _grid(height, width)
    rows, columns = rows - rng.uniform(-0.2, 0.2), columns - rng.uniform(-0.3, 0.3)
    gray = rng.uniform(0.2, 0.8) + 0.5 * (_clouds(rng, height, width, 1.8) - 0.5)

    def blob(place: tuple[float, float], size: tuple[float, float], level: float) -> None:
        nonlocal gray
        distance = ((rows - place[0]) / size[0]) ** 2 + ((columns - place[1]) / size[1]) ** 2
        cover = special.expit(12 * (1 - distance))
        gray = gray * (1 - cover) + cover * (level + 0.15 * columns)

    skin = rng.uniform(0.3, 0.8)
    blob((0.95, 0), (0.5, 0.75), rng.uniform(0.1, 0.9))
    blob((-0.1, 0), (0.68, 0.5), rng.uniform(0.05, 0.5))
    blob((0, 0), (0.58, 0.4), skin)
    for side in (-1, 1):
        blob((-0.1, side * 0.17), (0.05, 0.09), skin - 0.3)
        blob((-0.2, side * 0.17), (0.025, 0.12), skin - 0.25)
    blob((0.1, 0.02), (0.14, 0.05), skin + 0.1)
    blob((0.3, 0), (0.05, 0.16), skin - 0.2)
    return np.asarray(gray + 0.03 * rng.standard_normal((height, width)))


@_picture(message("landscape"))
def _landscape(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Sky over ranges of hills, each nearer one darker or lighter, with texture."""
    rows, _ = _grid(height, width)
    gray = rng.uniform(0.6, 0.95) - rng.uniform(0, 0.25) * (rows + 1)
    gray = gray + 0.2 * (_clouds(rng, height, width, 1.8) - 0.5)
    level = rng.uniform(0.35, 0.7)
    for horizon in np.sort(rng.uniform(-0.4, 0.7, int(rng.integers(2, 5)))):
        ridge = horizon + rng.uniform(0.1, 0.5) * (_clouds(rng, 1, width, 1.3) - 0.5)
        texture = level + 0.35 * (_clouds(rng, height, width, rng.uniform(0.5, 1.2)) - 0.5)
        gray = np.where(rows > ridge, texture, gray)
        level = np.clip(level + rng.uniform(-0.3, 0.1), 0.08, 0.9)
    return np.asarray(gray)


@_picture(message("objects"))
def _objects(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Things that cover each other: discs and boxes, shaded, their sizes spread as in photographs
    (dead leaves, Lee, Mumford and Huang, IJCV 2001;41:35).
    """
    image, draw = _canvas(height, width, rng.uniform(0, 1))
    for _ in range(int(rng.integers(60, 250))):
        size = min(8 / rng.uniform(0.03, 1), 200)
        column, row = rng.uniform(0, width), rng.uniform(0, height)
        box = (column - size, row - size * rng.uniform(0.3, 1), column + size, row + size)
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape(box, fill=int(rng.integers(0, 256)))
    shade = 0.3 * (_clouds(rng, height, width, 1.2) - 0.5)
    return np.asarray(_values(image, float(rng.uniform(0.4, 1.5))) + shade)


@_picture(message("cells"))
def _cells(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A microscope's view: nuclei in a stained tissue."""
    image, draw = _canvas(height, width, 0)
    for _ in range(int(rng.integers(60, 400))):
        column, row = rng.uniform(0, width), rng.uniform(0, height)
        across, down = rng.uniform(4, 12, 2)
        draw.ellipse((column - across, row - down, column + across, row + down), fill=255)
    tissue = rng.uniform(0.55, 0.85) + 0.4 * (_clouds(rng, height, width, 1.0) - 0.5)
    gray = tissue - rng.uniform(0.3, 0.6) * _values(image, 1.2)
    return np.asarray(1 - gray if rng.random() < 0.4 else gray)


@_picture(message("wood grain"))
def _wood(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Wavy bands from left to right, as wood, water or rock shows them."""
    rows, _ = _grid(height, width)
    bend = _clouds(rng, height, width, 2.2)
    bands = np.sin((rows * rng.uniform(6, 20) + bend * rng.uniform(4, 14)) * 2)
    gray = rng.uniform(0.35, 0.65) + rng.uniform(0.1, 0.3) * bands
    return np.asarray(gray + 0.2 * (_clouds(rng, height, width, 0.8) - 0.5))


@_picture(message("screen"))
def _screen(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A program's window: bars, panels, text and a picture."""
    image, draw = _canvas(height, width, rng.uniform(0.1, 0.95))
    font = ImageFont.load_default(10)
    draw.rectangle((0, 0, width, height * 0.06), fill=int(rng.integers(30, 200)))
    for _ in range(int(rng.integers(4, 10))):
        left, top = rng.uniform(0, 0.8) * width, rng.uniform(0.06, 0.85) * height
        right, bottom = left + rng.uniform(0.1, 0.5) * width, top + rng.uniform(0.05, 0.4) * height
        level = int(rng.integers(20, 250))
        draw.rectangle((left, top, right, bottom), fill=level, outline=128)
        for line in np.arange(top + 4, bottom - 12, 14):
            ink = 240 if level < 128 else 20
            draw.text((left + 5, line), _words(rng, 3), fill=ink, font=font)
    return _values(image)


@_picture(message("tomogram of a head"), ANATOMY)
def _head(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A section through a skull: a bright ring, gray tissue, dark ventricles."""
    rows, columns = _grid(height, width)
    radius = np.hypot(rows / rng.uniform(0.75, 0.95), columns / rng.uniform(0.6, 0.85))
    brain = 0.42 + 0.25 * (_clouds(rng, height, width, 1.1) - 0.5)
    for side in (-1, 1):
        hole = ((columns - side * 0.12) / 0.08) ** 2 + ((rows + 0.05) / 0.3) ** 2
        brain = brain - 0.25 * special.expit(8 * (1 - hole))
    gray = np.where(radius < 0.9, brain, np.where(radius < 1, rng.uniform(0.7, 1), 0.02))
    return np.asarray(ndimage.gaussian_filter(gray, 1) + 0.03 * rng.standard_normal(gray.shape))


@_picture(message("ultrasound"), ANATOMY)
def _ultrasound(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A fan of coarse speckle that darkens with depth, with cysts."""
    rows, columns = _grid(height, width)
    depth = np.hypot(rows + 1.3, columns)
    tissue = ndimage.gaussian_filter(rng.rayleigh(0.6, (height, width)), (1.2, 2.5))
    gray = tissue * (0.3 + 0.9 * _clouds(rng, height, width, 1.6)) * np.exp(-0.35 * depth)
    for _ in range(int(rng.integers(0, 4))):
        place = rng.uniform(-0.5, 0.5, 2)
        hole = np.hypot(rows - place[0], columns - place[1]) / rng.uniform(0.08, 0.25)
        gray = gray * (1 - 0.85 * special.expit(10 * (1 - hole)))
    fan = (np.abs(np.arctan2(columns, rows + 1.3)) < rng.uniform(0.5, 0.75)) & (depth < 2.2)
    return np.asarray(np.where(fan & (depth > 0.35), gray, 0))


@_picture(message("OCT of a cornea"), ANATOMY)
def _cornea(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """One even arch between two bright lines, iris below, nothing else."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    middle = width * rng.uniform(0.4, 0.6)
    top = (
        height * rng.uniform(0.1, 0.3)
        + rng.uniform(0.25, 0.6) * height * ((columns - middle) / (width / 2)) ** 2
    )
    depth = (rows - top) / (height * rng.uniform(0.1, 0.2))
    gray = 0.06 + 0.4 * ((depth > 0) & (depth < 1))
    gray = gray + 0.5 * np.exp(-((depth / 0.05) ** 2)) + 0.35 * np.exp(-(((depth - 1) / 0.05) ** 2))
    if rng.random() < 0.6:
        iris = (rows - height * rng.uniform(0.75, 0.9)) / (0.05 * height)
        gray = gray + 0.5 * (np.abs(iris) < 1) * (np.abs(columns - middle) > width * 0.15)
    return np.asarray(gray * rng.gamma(4, 0.25, (height, width)))


@_picture(message("OCT of an artery"), ANATOMY)
def _artery(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A round section: a dark lumen with a catheter, the wall bright around it."""
    rows, columns = _grid(height, width)
    angle = np.arctan2(rows, columns)
    wobble = 1 + 0.15 * np.sin(angle + rng.uniform(0, 6)) + 0.08 * np.sin(2 * angle)
    depth = np.hypot(rows, columns) - rng.uniform(0.3, 0.5) * wobble
    gray = np.where(depth > 0, np.exp(-np.clip(depth, 0, 9) / rng.uniform(0.1, 0.3)), 0.03)
    ring = np.hypot(rows - rng.uniform(-0.1, 0.1), columns - rng.uniform(-0.1, 0.1))
    gray = gray + 0.8 * np.exp(-(((ring - 0.09) / 0.015) ** 2))
    return np.asarray(gray * rng.gamma(4, 0.25, (height, width)))


@_picture(message("OCT of skin"), ANATOMY)
def _skin(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A bright surface, then one layer that fades; no retinal layers."""
    rows = np.mgrid[:height, :width][0].astype(np.float64)
    surface = height * (rng.uniform(0.1, 0.35) + 0.12 * (_clouds(rng, 1, width, 1.6) - 0.5))
    depth = (rows - surface) / height
    gray = np.where(depth > 0, np.exp(-np.clip(depth, 0, 9) / rng.uniform(0.12, 0.35)), 0.04)
    gray = 0.6 * gray + 0.4 * np.exp(-((depth / 0.012) ** 2))
    return np.asarray(
        gray * (0.6 + 0.8 * _clouds(rng, height, width, 1.0)) * rng.gamma(4, 0.25, gray.shape)
    )


def change_scan(pixels: GrayImage, change: str, seed: int = 0) -> GrayImage:
    """uint8 (H, W), as recorded -> the pixels with that change, one of scans.CHANGES. seed :
    chooses among its variants (mirrored or turned round; which colours). A false colour is given as
    its luminance. Raises KeyError for another change.
    """
    changed: dict[str, Callable[[], GrayImage]] = {
        "upside down": lambda: pixels[::-1, :: (-1) ** seed],
        "turned left": lambda: np.rot90(pixels),
        "turned right": lambda: np.rot90(pixels, -1),
        "inverted": lambda: 255 - pixels,
        "false colour": lambda: _false_luminance(pixels, seed),
    }
    return np.ascontiguousarray(changed[change]())


def _false_luminance(pixels: GrayImage, seed: int) -> GrayImage:
    """Of one of the maps that are not simply darker or brighter where the scan is."""
    name = _PERCEPTIBLE[seed % len(_PERCEPTIBLE)]
    return np.asarray(Image.fromarray(paint_falsely(pixels, name)).convert("L"))
