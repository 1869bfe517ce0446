"""What the parts hand to each other: frozen dataclasses of numpy arrays. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.words import message

CLASSES: tuple[str, ...] = ("CNV", "DME", "DRUSEN", "NORMAL")
CLASS_TITLES: dict[str, str] = {
    "CNV": message("Choroidal neovascularisation"),
    "DME": message("Diabetic macular oedema"),
    "DRUSEN": message("Drusen"),
    "NORMAL": message("Normal retina"),
}

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
GrayImage = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scan:
    """One decoded B-scan.

    pixels : uint8 (H, W), gray, 0 black to 255 white, the scan's own size.
    name : how a person knows it (file name or sample title); never used as a key.
    source : "upload", "file", "sample" ...
    bit_depth : bits per sample of the source picture.
    notes : what the reader did or saw ("page 2 of 5", "16 bit scaled to its own range").
    """

    pixels: GrayImage
    name: str = "scan"
    source: str = "file"
    bit_depth: int = 8
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one run makes of one scan.

    logits : float32 (4,), raw. probabilities : float64 (4,), softmax(logits / temperature), sum 1.
    """

    run: str
    logits: Float32Array
    probabilities: FloatArray
    classes: tuple[str, ...] = CLASSES

    @property
    def predicted(self) -> str:
        """The class with the highest probability."""
        return self.classes[int(np.argmax(self.probabilities))]

    @property
    def confidence(self) -> float:
        """The probability of the predicted class, 0 to 1."""
        return float(self.probabilities.max())


@dataclass(frozen=True, eq=False)
class Explanation:
    """One map of one scan.

    values : float32 (H, W) in the scan's own pixels. Not signed: >= 0, raw scale. Signed: a
    derivative.
    target : the class explained. layer : a named layer, or "input".
    evidence : False if the map is zero everywhere (no evidence for the target).
    """

    run: str
    method: str
    layer: str
    target: str
    values: Float32Array
    signed: bool

    @property
    def key(self) -> str:
        """``method/layer``, the key in an .npz."""
        return f"{self.method}/{self.layer}"

    @property
    def evidence(self) -> bool:
        """Whether any value differs from zero."""
        return bool(np.any(self.values != 0))


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic B-scan with its truth.

    pixels : uint8 (H, W). lesion : bool (H, W), empty for NORMAL. retina : bool (H, W), ILM to
    Bruch's membrane.
    """

    pixels: GrayImage
    label: str
    seed: int
    lesion: Mask
    retina: Mask

    @property
    def scan(self) -> Scan:
        """The picture as a Scan whose name says that it is synthetic."""
        return Scan(self.pixels, name=f"synthetic {self.label} #{self.seed}", source="sample")


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """predictions.csv in memory: N scans of the validation and test parts.

    split, image, sha256, patient : str (N,). label : int64 (N,), index into classes. logits :
    float32 (N, 4).
    """

    split: NDArray[np.str_]
    image: NDArray[np.str_]
    sha256: NDArray[np.str_]
    patient: NDArray[np.str_]
    label: IntArray
    logits: Float32Array
    classes: tuple[str, ...] = CLASSES

    def of_split(self, split: str) -> PredictionTable:
        """The rows of one split ("val" or "test"), in order."""
        keep = self.split == split
        return PredictionTable(
            self.split[keep],
            self.image[keep],
            self.sha256[keep],
            self.patient[keep],
            self.label[keep],
            self.logits[keep],
            self.classes,
        )

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, eq=False)
class RunCard:
    """card.json of a run: the fields everything needs, and the whole as ``raw``.

    status : "training", "done" or "failed". temperature : 1.0 if not fitted.
    weights_sha256 : "" while there are no weights.
    """

    name: str
    folder: Path
    status: str
    architecture: str
    classes: tuple[str, ...]
    preprocessing: dict[str, Any]
    weights_sha256: str
    temperature: float
    best_epoch: int | None
    raw: dict[str, Any] = field(repr=False)
