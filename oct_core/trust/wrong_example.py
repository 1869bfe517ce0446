"""What a wrong answer looks like: the worst of many synthetic scans that a judge was tried on, kept
as a file that a page reads without a network.

reports/wrong_example.json : a ``WrongExample``. The picture is drawn again from its seed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oct_core.errors import CheckpointError
from oct_core.runs.files import beside_the_library, write_atomically
from oct_core.types import CLASSES, VERDICTS, GrayImage, Judgement, Reason, RunCard, Scan, Verdict
from oct_core.words import note

if TYPE_CHECKING:
    from oct_core.trust.judge import Judge

FILE = "wrong_example.json"
SEEDS = range(500_000, 500_010)
"""Of the phantoms that are tried: no training and no sample of the app has them."""
CLEAN = "clean"


@dataclass(frozen=True)
class Picture:
    """A synthetic scan. corruption : CLEAN, or that of the strongest grade it went through."""

    label: str
    seed: int
    corruption: str = CLEAN

    def draw(self) -> GrayImage:
        """The scan, uint8 (H, W)."""
        from oct_core.scans.corruptions import SEVERITIES, corrupt
        from oct_core.scans.phantom import make_phantom

        pixels = make_phantom(self.label, self.seed).pixels
        if self.corruption == CLEAN:
            return pixels
        return np.asarray(corrupt(pixels[None], self.corruption, SEVERITIES[-1])[0])


@dataclass(frozen=True)
class WrongExample:
    """A wrong answer and what it is one of.

    picture, verdict : of the ensemble. called : what each member calls it, by run. weights :
    SHA-256 of each run that was asked. tried : how many pictures were. wrong : of these, by the
    kind of their verdict, how many were called another class than they show.
    """

    picture: Picture
    verdict: Verdict
    called: dict[str, str]
    weights: dict[str, str]
    tried: int
    wrong: dict[str, int]

    def is_of(self, cards: Sequence[RunCard]) -> bool:
        """Whether those runs gave it, with the weights that they have now."""
        return self.weights == {card.name: card.weights_sha256 for card in cards}


def find_wrong_example(
    judge: Judge,
    seeds: Sequence[int] = SEEDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> WrongExample | None:
    """The wrong answer that the rule warns of least: answered before cautioned before refused, then
    the surest. None if all are right.

    Every class, seed and corruption is tried. Raises CheckpointError if the runs are not loaded.
    """
    from oct_core.scans.corruptions import CORRUPTIONS

    wrong: list[tuple[Picture, Judgement]] = []
    tried = 0
    for done, seed in enumerate(seeds, start=1):
        pictures = [
            Picture(label, seed, name) for label in CLASSES for name in (CLEAN, *CORRUPTIONS)
        ]
        judgements = judge.judge([Scan(picture.draw()) for picture in pictures])
        wrong += [
            (picture, judgement)
            for picture, judgement in zip(pictures, judgements, strict=True)
            if judgement.verdict.label != picture.label
        ]
        tried += len(pictures)
        progress(done, len(seeds))
    if not wrong:
        return None
    picture, judgement = min(wrong, key=lambda each: _harmlessness(each[1].verdict))
    members = judgement.members or (judgement,)
    return WrongExample(
        picture,
        judgement.verdict,
        {each.prediction.run: each.prediction.predicted for each in members},
        {card.name: card.weights_sha256 for card in judge.cards},
        tried,
        dict(Counter(each.verdict.kind for _, each in wrong)),
    )


def _harmlessness(verdict: Verdict) -> tuple[int, float]:
    return VERDICTS.index(verdict.kind), -verdict.probability


def example_file() -> Path:
    """Where the example lies: the environment variable OCT_WRONG_EXAMPLE, else reports/."""
    given = os.environ.get("OCT_WRONG_EXAMPLE")
    return Path(given) if given else beside_the_library("reports", FILE) / FILE


def write_example(path: Path, example: WrongExample) -> None:
    """Write the file atomically."""
    write_atomically(path, (json.dumps(asdict(example), indent=1) + "\n").encode())


def _value(text: str | float) -> str | float:
    """A value of a reason, said in the language of the moment where it is a message."""
    return note(text) if isinstance(text, str) else text


def read_example(path: Path) -> WrongExample | None:
    """The example of a file, None if there is none; raises CheckpointError for a damaged one."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        verdict = raw["verdict"]
        reasons = tuple(
            Reason(each["key"], tuple((name, _value(value)) for name, value in each["values"]))
            for each in verdict["reasons"]
        )
        return WrongExample(
            **{
                **raw,
                "picture": Picture(**raw["picture"]),
                "verdict": Verdict(
                    **{
                        **verdict,
                        "reasons": reasons,
                        "prediction_set": tuple(verdict["prediction_set"]),
                    }
                ),
            }
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            "{path} cannot be read ({error!r}); write it anew: python benchmarks/wrong_example.py",
            path=path,
            error=error,
        ) from error
