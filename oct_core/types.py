"""What the parts hand to each other: frozen dataclasses of numpy arrays. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.words import message

CLASSES: tuple[str, ...] = ("CNV", "DME", "DRUSEN", "NORMAL")
SENSITIVITY = "val_sensitivity_"
"""history.csv has a column of this and the class for each class; older ones have none."""
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
    warnings : those of the notes that tell of pixels that may be wrong ("damaged in places").
    colour : bool (H, W), True where the source picture is in colour; None if it is nowhere.
    """

    pixels: GrayImage
    name: str = "scan"
    source: str = "file"
    bit_depth: int = 8
    notes: tuple[str, ...] = ()
    colour: Mask | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one run makes of one scan.

    logits : float32 (4,), raw. probabilities : float64 (4,), softmax(logits / temperature), sum 1.
    features : float32 (D,), what the run's gate reads, from the same pass; None if not asked for.
    members : of an ensemble, what each of its members says; empty for one run.
    """

    run: str
    logits: Float32Array
    probabilities: FloatArray
    classes: tuple[str, ...] = CLASSES
    features: Float32Array | None = None
    members: tuple[Prediction, ...] = ()

    @property
    def predicted(self) -> str:
        """The class with the highest probability."""
        return self.classes[int(np.argmax(self.probabilities))]

    @property
    def confidence(self) -> float:
        """The probability of the predicted class, 0 to 1."""
        return float(self.probabilities.max())


QUESTIONS: tuple[str, ...] = ("bscan", "upright", "familiar")
"""What the gate asks of a scan: is it a B-scan, as it was recorded, like what the models know?"""


@dataclass(frozen=True)
class GateScores:
    """How far a scan is from a yes to each of QUESTIONS: >= 0, higher is worse, 1 is the threshold,
    which 2 % of the validation scans exceed.

    change : what seems to have been done to the scan ("upside down" ...), "" if nothing, or if it
    is no B-scan.
    """

    bscan: float
    upright: float
    familiar: float
    change: str = ""


VERDICTS: tuple[str, ...] = ("answer", "caution", "refer")
"""From what may be read as an answer to what has none: show the scan to a person."""


@dataclass(frozen=True)
class Reason:
    """Why a verdict is not a plain answer: a key, and what its sentence names."""

    key: str
    values: tuple[tuple[str, str | float], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What may be made of a prediction.

    kind : one of VERDICTS. label : the class predicted. probability : its calibrated probability, 0
    to 1. reasons : worst first, empty for an answer. prediction_set : the classes that the
    conformal set holds, in the order of the classes.
    """

    kind: str
    label: str
    probability: float
    reasons: tuple[Reason, ...] = ()
    prediction_set: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Judgement:
    """A prediction and what may be made of it.

    prediction : of one run, or of the ensemble. scores : the gate's, None where no gate has been
    fitted. members : of an ensemble, what may be made of each of its members alone. notes,
    warnings : the scan's, where they go with the answer into a table.
    """

    prediction: Prediction
    verdict: Verdict
    scores: GateScores | None = None
    members: tuple[Judgement, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[Judgement, ...]:
        """This judgement and then those of its members: the rows that a table has of the scan."""
        return (self, *self.members)


@dataclass(frozen=True, eq=False)
class Explanation:
    """One map of one scan.

    values : float32 (H, W) in the scan's own pixels. Not signed: >= 0, raw scale. Signed: a
    derivative.
    target : the class explained. layer : a named layer, or "input".
    evidence : False if the map is zero everywhere.
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
    """Answers of a run to N labelled scans: predictions.csv in memory, or a part of it.

    split, image, sha256, patient : str (N,). label : int64 (N,), index into classes; -1 where the
    label stands for several of them ("AMD": CNV or DRUSEN). logits : float32 (N, 4). gate :
    float64 (N, 3), scores in the order of QUESTIONS, None of a run without a gate.
    given : str (N,), the labels as their source has them, None where they are the classes.
    truth : bool (N, 4), the classes that are a right answer; None where it is the label's alone.
    members : of an ensemble, the same scans by each of its members, by run name.
    """

    split: NDArray[np.str_]
    image: NDArray[np.str_]
    sha256: NDArray[np.str_]
    patient: NDArray[np.str_]
    label: IntArray
    logits: Float32Array
    classes: tuple[str, ...] = CLASSES
    gate: FloatArray | None = None
    given: NDArray[np.str_] | None = None
    truth: Mask | None = None
    members: Mapping[str, PredictionTable] = field(default_factory=dict)

    def of_split(self, split: str) -> PredictionTable:
        """The rows of one split ("val", "corrupted/blur/2"), or of all below it ("corrupted"), in
        order.
        """
        below = np.char.startswith(self.split, f"{split}/")
        return self.take((self.split == split) | below)

    def take(self, rows: Mask | IntArray) -> PredictionTable:
        """The rows of a mask (N,), or of row numbers in their order."""
        columns = {
            column.name: getattr(self, column.name)
            for column in fields(self)
            if column.name not in ("classes", "members") and getattr(self, column.name) is not None
        }
        members = {run: member.take(rows) for run, member in self.members.items()}
        return replace(
            self, members=members, **{name: values[rows] for name, values in columns.items()}
        )

    def is_right(self, called: IntArray) -> Mask:
        """Whether each scan's class in ``called`` (N,) is a right answer: its label, or one of
        those that its label stands for.
        """
        if self.truth is None:
            return np.asarray(called == self.label)
        return np.asarray(self.truth[np.arange(len(self)), called])

    def __len__(self) -> int:
        return len(self.label)


def join_tables(tables: Sequence[PredictionTable]) -> PredictionTable:
    """The rows of all, at least one, of the same columns and classes; not of an ensemble."""
    first = tables[0]
    columns: dict[str, Any] = {
        column.name: np.concatenate([getattr(table, column.name) for table in tables])
        for column in fields(first)
        if column.name not in ("classes", "members") and getattr(first, column.name) is not None
    }
    return replace(first, **columns)


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
