"""A comparison of two runs in sentences, for people who do not know the tests."""

from __future__ import annotations

import math

from oct_core.metrics.comparison import Comparison
from oct_core.metrics.intervals import Interval
from oct_core.words import say


def describe_comparison(comparison: Comparison) -> str:
    """Who was right on what alone, whether accuracy and macro AUC differ, by how much and how
    sure that is, in five sentences.
    """
    names = (comparison.name_a, comparison.name_b)
    in_points = Interval(*(100 * number for number in vars(comparison.difference).values()))
    sentences = [
        say(
            "{first} and {second} on the same {scans} scans of {patients} patients.",
            first=names[0],
            second=names[1],
            scans=comparison.n_scans,
            patients=comparison.n_patients,
        ),
        _say_difference(say("Accuracy in percentage points"), names, in_points, digits=1),
        say(
            "Only {first} is right on {only_a} scans, only {second} on {only_b} (McNemar's test, "
            "{p}).",
            first=names[0],
            second=names[1],
            only_a=comparison.mcnemar.only_a,
            only_b=comparison.mcnemar.only_b,
            p=_say_p(comparison.mcnemar.p_value, comparison.adjusted_mcnemar, comparison.family),
        ),
        _say_difference(say("Macro AUC"), names, comparison.auc_difference, digits=4),
        say(
            "DeLong's test of the areas by patient: {p}.",
            p=_say_p(comparison.delong.p_value, comparison.adjusted_delong, comparison.family),
        ),
    ]
    return " ".join(sentences)


def _say_difference(title: str, names: tuple[str, str], interval: Interval, digits: int) -> str:
    if math.isnan(interval.value):
        return say("{title}: not defined, a class does not occur.", title=title)
    difference, low, high = (f"{number:+.{digits}f}" for number in vars(interval).values())
    if math.isnan(interval.low):
        return say(
            "{title}: {first} less {second} is {difference} (no interval: one patient).",
            title=title,
            first=names[0],
            second=names[1],
            difference=difference,
        )
    if interval.low <= 0 <= interval.high:
        return say(
            "{title}: no difference is shown; {first} less {second} is {difference} (95% interval "
            "{low} to {high}).",
            title=title,
            first=names[0],
            second=names[1],
            difference=difference,
            low=low,
            high=high,
        )
    higher, lower = names if interval.low > 0 else names[::-1]
    # Without the signs: the pair is named in the order of the larger figure.
    low, high = (low, high) if interval.low > 0 else (high, low)
    return say(
        "{title}: {higher} is higher than {lower} by {difference} (95% interval {low} to {high}).",
        title=title,
        higher=higher,
        lower=lower,
        difference=difference[1:],
        low=low[1:],
        high=high[1:],
    )


def p_text(p_value: float) -> str:
    """``p = 0.012``, ``p < 0.001`` or why there is none."""
    if math.isnan(p_value):
        return say("p is not defined")
    return say("p < 0.001") if p_value < 0.001 else say("p = {p:.3f}", p=p_value)


def _say_p(p_value: float, adjusted: float, family: int) -> str:
    """With the adjusted value where there is a family of several comparisons."""
    if family < 2 or math.isnan(p_value):
        return p_text(p_value)
    return say(
        "{plain}, after Holm over {family} comparisons {corrected}",
        plain=p_text(p_value),
        corrected=p_text(adjusted),
        family=family,
    )
