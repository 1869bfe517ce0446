"""Whose scans these are, told for a person to check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from oct_core.data.sources import FROM_FOLDERS, FROM_NAMES, FROM_TABLE, Candidate
from oct_core.words import message, say, say_count

PATTERNS = {
    FROM_NAMES: message("names CLASS-PATIENT-NUMBER, such as CNV-1016042-3.jpeg"),
    FROM_FOLDERS: message(
        "folders CLASS/PATIENT, such as CNV/17/001.png; folders of one name are one patient, "
        "whatever the class"
    ),
    FROM_TABLE: message("the manifest's column"),
    "": message("nothing: no patient number, each such file counts as its own patient"),
}
"""What told the patients -> its words."""
_EXAMPLES = 2


@dataclass(frozen=True)
class PatientSummary:
    """told_by : a key of PATTERNS -> scans. patients : that were told, in all. scans_each : the
    least, the median and the most scans of one of these; zeros without any. examples : a key of
    PATTERNS -> (file as written, patient).
    """

    told_by: dict[str, int]
    patients: int
    scans_each: tuple[int, float, int]
    examples: dict[str, list[tuple[str, str]]]

    def sentences(self) -> list[str]:
        """The pattern used, patients, scans of each, and examples, for a person."""
        texts = []
        for told_by, scans in self.told_by.items():
            examples = ", ".join(
                f"{name} -> {patient or say('none')}" for name, patient in self.examples[told_by]
            )
            texts.append(
                say_count(
                    "patients of {count} scan from {pattern} ({examples})",
                    "patients of {count} scans from {pattern} ({examples})",
                    scans,
                    pattern=say(PATTERNS[told_by]),
                    examples=examples,
                )
            )
        if self.patients:
            least, middle, most = self.scans_each
            texts.append(
                say_count(
                    "{count} patient; scans each: {least} to {most}, median {middle:g}",
                    "{count} patients; scans each: {least} to {most}, median {middle:g}",
                    self.patients,
                    least=least,
                    most=most,
                    middle=middle,
                )
            )
        return texts


def summarise_patients(candidates: Sequence[Candidate]) -> PatientSummary:
    """What told the patients of these scans, and how many scans each has."""
    scans = Counter(each.patient for each in candidates if each.patient)
    told_by = Counter(each.told_by for each in candidates)
    examples: dict[str, list[tuple[str, str]]] = {told: [] for told in told_by}
    for each in candidates:
        chosen = examples[each.told_by]
        if len(chosen) < _EXAMPLES and each.patient not in (patient for _, patient in chosen):
            chosen.append(("/".join(each.path.parts[-3:]), each.patient))
    numbers = list(scans.values()) or [0]
    return PatientSummary(
        {told: told_by[told] for told in PATTERNS if told_by[told]},
        len(scans),
        (min(numbers), float(median(numbers)), max(numbers)),
        examples,
    )
