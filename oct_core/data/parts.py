"""Names of the three parts, as folders and tables write them."""

from __future__ import annotations

import re
import unicodedata

from oct_core.scans import suffixes

SPLITS = ("train", "val", "test")
UNCLEAR = "?"
"""What ``part_named`` says of a name that speaks of a part without saying which."""

_WORDS = {
    "train": ("train", "training", "trn", "훈련", "학습"),
    "val": ("val", "valid", "validate", "validation", "validating", "dev", "development", "검증"),
    "test": ("test", "tests", "testing", "tst", "테스트", "시험"),
}
_FILLERS = (
    *("set", "sets", "data", "dataset", "split", "part", "fold", "folder", "oct", "scan", "scans"),
    *("image", "images", "img", "imgs", "picture", "pictures", "b", "bscan", "bscans", "file"),
    *(
        "files",
        "dir",
        "dirs",
        "directory",
        "데이터",
        *(suffix.lstrip(".") for suffix in suffixes()),
    ),
)
_UNSURE = (
    *("eval", "evaluation", "evaluate", "holdout", "heldout", "hold", "held", "unseen"),
    *("trainval", "traintest", "trainvaltest", "valtest", "crossval", "xval"),
)
_SHORT = ("tr", "te", "ts", "va", "vl")
_SPEAKING = re.compile(
    r"(?:train|test|valid|eval|holdout|heldout|devel)\w*|\w*(?:train|test)(?<!latest)(?<!greatest)(?<!contest)(?<!protest)"
)
"""Words that speak of a part, more or less: better asked than taken for nothing."""
_PART_OF = {word: part for part, words in _WORDS.items() for word in words}
_WORD = re.compile(f"({'|'.join(_PART_OF)})(?:{'|'.join(_FILLERS)})*")


def part_named(name: str) -> str:
    """The part that a name says: ``Training``, ``valid``, ``test_set`` and ``01 TestImages`` are
    train, val, test and test; "" for a name that says none, UNCLEAR for one such as ``train_val``,
    ``testA``, ``te`` or ``evaluation``.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    words = re.findall(r"[^\W\d_]+", apart.lower())
    matches = [_WORD.fullmatch(word) for word in words]
    parts = {_PART_OF[match.group(1)] for match in matches if match}
    other = [
        word
        for word, match in zip(words, matches, strict=True)
        if not match and word not in _FILLERS
    ]
    if len(parts) == 1 and not other:
        return parts.pop()
    speaking = any(word in _UNSURE or _SPEAKING.fullmatch(word) for word in other)
    short = len(words) == 1 and words[0] in _SHORT
    return UNCLEAR if parts or speaking or short else ""
