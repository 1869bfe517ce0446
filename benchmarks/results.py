"""Print the tables of README and docs: held-out figures from the run cards, and how far the maps go
from reports/explanations.json.

    python benchmarks/results.py [--write]

--write puts each table into the documents, between its marks. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from oct_core.metrics.calibration import softmax
from oct_core.metrics.intervals import Interval, interval_text, share_interval
from oct_core.metrics.summary import Evaluation, evaluate_table
from oct_core.models.catalog import ENSEMBLE
from oct_core.runs.evaluations import (
    corrupted_key,
    data_choices,
    external_key,
    external_names,
    read_scored,
)
from oct_core.runs.files import list_runs, read_predictions
from oct_core.scans.corruptions import CORRUPTIONS
from oct_core.trust.baselines import BASELINES
from oct_core.trust.gate import compare_scores
from oct_core.trust.judge import Judge, scored_table
from oct_core.trust.report_file import Report, read_report
from oct_core.trust.sanity import half_depth
from oct_core.trust.verdict import (
    NORMAL,
    VerdictRule,
    give_verdicts,
    risk_coverage,
    verdict_table,
)
from oct_core.types import CLASSES, PredictionTable, RunCard

PLAIN_LEAST = 0.9
MARKED = re.compile(
    r"<!-- table: (?P<name>[a-z ]+) -->\n\n(?P<text>[^<]*?)\n*<!-- end of table -->"
)
"""A table of a document between its marks."""


def held_out_table(cards: list[RunCard]) -> str:
    """Accuracy and macro AUC on the test part, the ensemble first, in Markdown."""
    lines = [
        "| model | test accuracy | test macro AUC | sensitivity " + ", ".join(CLASSES) + " |",
        "|---|---|---|---|",
    ]
    evaluations = {ENSEMBLE: evaluate_table(answers_together(cards, "test"), "test")}
    for card in cards:
        evaluations[card.name] = Evaluation.from_dict(card.raw["metrics"]["test"])
    for name, test in evaluations.items():
        figures = [test.describe(metric) for metric in ("accuracy", "macro_auc")]
        sensitivity = ", ".join(f"{test.sensitivity[label].value:.2f}" for label in CLASSES)
        lines.append(f"| {name} | {figures[0]} | {figures[1]} | {sensitivity} |")
    return "\n".join(lines)


def answers_together(cards: list[RunCard], key: str) -> PredictionTable:
    """What the ensemble of the runs answered to a choice of data."""
    return scored_table(cards, {card.name: read_scored(card, key) for card in cards})


def external_table(cards: list[RunCard], name: str) -> str:
    """Accuracy on an external set, the ensemble first, in Markdown."""
    key = external_key(name)
    tables = {ENSEMBLE: answers_together(cards, key)}
    tables |= {card.name: read_scored(card, key) for card in cards}
    lines = ["| model | accuracy | answers by label |", "|---|---|---|"]
    for run, table in tables.items():
        called = table.logits.argmax(axis=1)
        right = table.is_right(called)
        share = share_interval(right, np.ones(len(table), bool), table.patient)
        given = np.array(table.classes)[table.label] if table.given is None else table.given
        by_label = "; ".join(
            f"{label} {int(right[given == label].sum())} of {int((given == label).sum())}"
            for label in sorted(set(given.tolist()))
        )
        lines.append(f"| {run} | {interval_text(share)} | {by_label} |")
    return "\n".join(lines)


def verdicts_table(cards: list[RunCard], keys: Sequence[str]) -> str:
    """What the rule makes of each choice of data, in Markdown."""
    judge = Judge(cards)
    lines = [
        "| data | scans | answered | of these wrong | caution | no answer | diseased answered "
        "NORMAL | area of risk | plain rule: answered | of these wrong |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key in keys:
        answers = answers_together(cards, key)
        verdicts = give_verdicts(answers, judge.rule, judge.sets)
        table, area = verdict_table(answers, verdicts), risk_coverage(answers, verdicts).area
        lines.append(
            f"| {key} | {table.n_scans} | {_share(table.shares['answer'])} | {table.wrong} of "
            f"{table.counts['answer']} | {table.counts['caution']} | {table.counts['refer']} | "
            f"{table.missed} of {_diseased(answers).sum()} | {area:.4f} | {_plain_rule(answers)} |"
        )
    return "\n".join(lines)


def _diseased(answers: PredictionTable) -> NDArray[np.bool_]:
    """Scans that NORMAL is no right answer for."""
    return ~answers.is_right(np.full(len(answers), answers.classes.index(NORMAL)))


def _plain_rule(answers: PredictionTable) -> str:
    """What there would be without a gate: an answer where all models agree and the mean of their
    probabilities is over 0.9.
    """
    called = answers.logits.argmax(axis=1)
    agree = np.all([m.logits.argmax(axis=1) == called for m in answers.members.values()], axis=0)
    answered = agree & (softmax(answers.logits).max(axis=1) > PLAIN_LEAST)
    wrong = answered & ~answers.is_right(called)
    return f"{answered.mean():.1%} | {wrong.sum()} of {answered.sum()}"


def class_verdicts_table(cards: list[RunCard], keys: Sequence[str]) -> str:
    """The verdicts of the ensemble by true class, in Markdown."""
    judge = Judge(cards)
    lines = ["| data | class | scans | answered | of these wrong | caution | no answer |"]
    lines.append("|---|---|---|---|---|---|---|")
    for key in keys:
        answers = answers_together(cards, key)
        table = verdict_table(answers, give_verdicts(answers, judge.rule, judge.sets))
        lines += [
            f"| {key} | {name} | {each.n} | {each.answer} | {each.wrong} | {each.caution} | "
            f"{each.refer} |"
            for name, each in table.by_class.items()
        ]
    return "\n".join(lines)


def gate_table(cards: list[RunCard], keys: Sequence[str]) -> str:
    """How the gate's scores of other real scans compare with those of validation scans: the area
    under the ROC curve of each question, the share above 1, and the scans that the rule would call
    no B-scan; in Markdown.
    """
    rule = VerdictRule()
    lines = [
        "| scans | model | AUROC: a B-scan, upright, familiar | above 1 | taken for no B-scan |",
        "|---|---|---|---|---|",
    ]
    for key in keys:
        for name, members in [(ENSEMBLE, cards), *((card.name, [card]) for card in cards)]:
            usual, others = (answers_together(members, each).gate for each in ("val", key))
            if usual is None or others is None:
                continue
            areas, shares = compare_scores(usual, others)
            flagged = others[:, 0] > rule.caution[0]
            lines.append(
                f"| {key} | {name} | {', '.join(f'{area:.2f}' for area in areas)} | "
                f"{', '.join(f'{share:.0%}' for share in shares)} | {flagged.sum()} of "
                f"{len(flagged)} |"
            )
    return "\n".join(lines)


def _share(interval: Interval) -> str:
    return f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def external_keys(cards: list[RunCard]) -> list[str]:
    """The external sets that the runs have answers for."""
    return [external_key(name) for name in external_names(cards[0].folder)]


def verdict_keys(cards: list[RunCard]) -> list[str]:
    """Validation, test, external sets and each corruption in its middle grade."""
    choices = [choice.key for choice in data_choices(cards[0])]
    middle = [corrupted_key(name, 2) for name in CORRUPTIONS]
    return [
        key for key in choices if not key.startswith("corrupted") or key in ("corrupted", *middle)
    ]


def robustness_table(cards: list[RunCard]) -> str:
    """Validation accuracy, clean and corrupted, and accuracy on fresh phantoms, in Markdown."""
    lines = [
        "| model | validation, clean | validation, mean of corruptions | worst corruption | "
        "fresh phantoms |",
        "|---|---|---|---|---|",
    ]
    for card in cards:
        measured, phantoms = card.raw["robustness"], card.raw["phantoms"]
        worst, values = min(measured["accuracy"].items(), key=lambda item: min(item[1]))
        lines.append(
            f"| {card.name} | {measured['clean']:.3f} | {measured['mean_corrupted']:.3f} | "
            f"{worst}: {min(values):.3f} "
            f"| {phantoms['accuracy']:.3f} (n = {phantoms['n']}) |"
        )
    return "\n".join(lines)


def hardest_patient(cards: list[RunCard]) -> str:
    """The patient of the test part with most errors over all models: ``scans of 53018: 4 of 6, 2 of
    6, 6 of 9``.
    """
    errors = []
    for card in cards:
        test = read_predictions(card.folder).of_split("test")
        errors.append(Counter(test.patient[test.logits.argmax(1) != test.label].tolist()))
    patient = max(sum(errors, Counter()).items(), key=lambda item: (item[1], item[0]))[0]
    return f"scans of {patient}: " + ", ".join(f"{one[patient]} of {one.total()}" for one in errors)


def _cell(row: dict[str, Any] | None) -> str:
    """0.31 (0.20 to 0.42; 8), the last being n; a dash where nothing was measured."""
    if row is None:
        return "-"
    text = interval_text(Interval.from_dict(row), 2, row["patients"])
    return f"{text.removesuffix(')')}; {row['n']})"


def explanations_table(report: Report) -> str:
    """Faithfulness on validation scans, the pointing game on phantoms and the randomisation of the
    deepest maps, in Markdown.
    """
    lines = [
        "| model | map | deletion | insertion | pointing game | left, upper half random | left, "
        "all random |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = {
        tuple(row[name] for name in ("run", "method", "layer", "source", "measure")): row
        for row in report.rows
        if row["kind"] == "core"
    }
    sanity = {
        (row["run"], row["method"], row["layer"], row["depth"]): row["rank_correlation"]
        for row in report.raw["sanity"]
    }
    titles = report.raw["methods"]
    for run, about in report.runs.items():
        blocks = len(about["layers"]) + 1  # and the head
        for method, layer in [
            (name, about["layers"][-1]) for name in ("gradcam", "guided_gradcam")
        ] + [(name, "input") for name in ("guided_backprop", *BASELINES)]:
            measured = [
                rows.get((run, method, layer, "validation", name))
                for name in ("deletion_mean", "insertion_mean")
            ]
            measured += [rows.get((run, method, layer, "phantoms", "pointing"))]
            measured += [
                sanity.get((run, method, layer, depth)) for depth in (half_depth(blocks), blocks)
            ]
            name = titles[method] + ("" if layer == "input" else f", {layer}")
            lines.append(f"| {run} | {name} | " + " | ".join(map(_cell, measured)) + " |")
    return "\n".join(lines)


def short_verdicts_table(cards: list[RunCard]) -> str:
    """What the rule makes of the test part and of the external sets, in Markdown."""
    judge = Judge(cards)
    lines = [
        "| scans | n | answered | of these wrong | caution | no answer |",
        "|---|---|---|---|---|---|",
    ]
    for key in ("test", *external_keys(cards)):
        answers = answers_together(cards, key)
        table = verdict_table(answers, give_verdicts(answers, judge.rule, judge.sets))
        lines.append(
            f"| {key.removeprefix('external/')} | {table.n_scans} | "
            f"{_share(table.shares['answer'])} | {table.wrong} of {table.counts['answer']} | "
            f"{table.counts['caution']} | {table.counts['refer']} |"
        )
    return "\n".join(lines)


def short_maps_sentence(report: Report) -> str:
    """How often the brightest point of the deepest Grad-CAM lies on a lesion, over all networks."""
    hits = [
        row["value"]
        for row in report.rows
        if (row["kind"], row["method"], row["source"], row["measure"])
        == ("core", "gradcam", "phantoms", "pointing")
        and row["layer"] == report.runs[row["run"]]["layers"][-1]
    ]
    return (
        "A map shows what a network used, not where the disease is: the brightest point of the\n"
        f"deepest Grad-CAM lies on the lesion in {min(hits):.0%} to {max(hits):.0%} of drawn scans."
    )


def all_tables() -> dict[str, str]:
    """Name -> table of the documents, from the finished runs and the report on their maps."""
    cards = [card for card in list_runs() if card.status == "done"]
    others = ["test", *external_keys(cards)]
    tables = {
        "held out": held_out_table(cards),
        "hardest patient": f"Of the errors, {hardest_patient(cards)}.",
        "robustness": robustness_table([card for card in cards if "robustness" in card.raw]),
        "verdicts in short": short_verdicts_table(cards),
        "verdicts": verdicts_table(cards, verdict_keys(cards)),
        "verdicts by class": class_verdicts_table(cards, others),
        "gate": gate_table(cards, others),
    }
    for name in external_names(cards[0].folder):
        tables[f"external {name.removeprefix('external_')}"] = external_table(cards, name)
    report = read_report(ROOT / "reports" / "explanations.json")
    if report is not None:
        tables |= {
            "maps": explanations_table(report),
            "maps in short": short_maps_sentence(report),
        }
    return tables


def documents() -> list[Path]:
    """The files that may hold marked tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def marked_tables(text: str) -> dict[str, str]:
    """Name -> table that a document holds between marks."""
    return {found["name"]: found["text"] for found in MARKED.finditer(text)}


def write_tables(text: str, tables: dict[str, str]) -> str:
    """The document with what stands between marks made anew."""

    def replace(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- table: {name} -->\n\n{tables[name]}\n\n<!-- end of table -->"

    return MARKED.sub(replace, text)


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the documents")
    given = parser.parse_args()
    tables = all_tables()
    if given.write:
        for path in documents():
            text = path.read_text(encoding="utf-8")
            path.write_text(write_tables(text, tables), encoding="utf-8")
    for name, table in tables.items():
        print(f"{name}\n\n{table}\n")
    cards = [card for card in list_runs() if card.status == "done"]
    figures = {card.name: card.raw["metrics"]["test"]["accuracy"]["value"] for card in cards}
    print(json.dumps({"test_accuracy": figures}))


if __name__ == "__main__":
    main()
