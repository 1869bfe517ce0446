"""A comparison of two runs in sentences, for people who do not know the tests."""

from __future__ import annotations

import math

from oct_core.metrics.comparison import Comparison
from oct_core.metrics.intervals import Interval, bounds_text
from oct_core.words import say, say_count

ALPHA = 0.05
"""From which p value on no difference is shown."""


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
        _say_difference(
            say("Accuracy in percentage points"), comparison, in_points, comparison.adjusted_mcnemar
        ),
        _say_mcnemar(comparison),
        _say_difference(
            say("Macro AUC"), comparison, comparison.auc_difference, comparison.adjusted_delong, 4
        ),
        say(
            "DeLong's test of the areas by patient: {p}.",
            p=_say_p(comparison.delong.p_value, comparison.adjusted_delong, comparison.family),
        ),
    ]
    return " ".join(sentences)


def _say_mcnemar(comparison: Comparison) -> str:
    test, names = comparison.mcnemar, (comparison.name_a, comparison.name_b)
    if not test.only_a + test.only_b:
        return say(
            "Both are right on the same scans, so McNemar's test has nothing to weigh ({p}).",
            p=p_text(test.p_value),
        )
    only_a, only_b = (
        say_count("{count} scan", "{count} scans", count) for count in (test.only_a, test.only_b)
    )
    return say(
        "Only {first} is right on {only_a}, only {second} on {only_b} (McNemar's test by patient, "
        "{p}).",
        first=names[0],
        second=names[1],
        only_a=only_a,
        only_b=only_b,
        p=_say_p(test.p_value, comparison.adjusted_mcnemar, comparison.family),
    )


def _signed(number: float, digits: int) -> str:
    """``+0.5``, ``-0.5``, and ``0.0`` for what rounds to nothing."""
    rounded = round(number, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def _say_difference(
    title: str, comparison: Comparison, interval: Interval, adjusted: float, digits: int = 1
) -> str:
    """adjusted : the p value of this difference after Holm, NaN where there is none."""
    names = (comparison.name_a, comparison.name_b)
    if math.isnan(interval.value):
        return say("{title}: not defined, a class does not occur.", title=title)
    if math.isnan(interval.low):
        return say(
            "{title}: {first} less {second} is {difference} ({no_interval}).",
            title=title,
            first=names[0],
            second=names[1],
            difference=_signed(interval.value, digits),
            no_interval=bounds_text(interval, patients=comparison.n_patients),
        )
    if interval.low <= 0 <= interval.high:
        return say(
            "{title}: no difference is shown; {first} less {second} is {difference} (95% interval "
            "{low} to {high}).",
            title=title,
            first=names[0],
            second=names[1],
            difference=_signed(interval.value, digits),
            low=_signed(interval.low, digits),
            high=_signed(interval.high, digits),
        )
    higher, lower = names if interval.low > 0 else names[::-1]
    # Without the signs: the pair is named in the order of the larger figure.
    low, high = sorted((abs(interval.low), abs(interval.high)))
    numbers = (f"{number:.{digits}f}" for number in (abs(interval.value), low, high))
    words = dict(zip(("difference", "low", "high"), numbers, strict=True))
    if comparison.family > 1 and not adjusted < ALPHA:
        return say(
            "{title}: {higher} is higher than {lower} by {difference} (95% interval of this "
            "comparison alone {low} to {high}), but after Holm over {family} comparisons no "
            "difference is shown.",
            title=title,
            higher=higher,
            lower=lower,
            family=comparison.family,
            **words,
        )
    return say(
        "{title}: {higher} is higher than {lower} by {difference} (95% interval {low} to {high}).",
        title=title,
        higher=higher,
        lower=lower,
        **words,
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
