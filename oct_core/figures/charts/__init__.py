"""Arrays and dataclasses in, plotly figures out. No streamlit, no torch.

Every figure has a title, axis names and alt text (``alt_text``), and reads on a light and on a dark
page. Figures of several runs take ``colours``, run -> "#RRGGBB", from ``colours.run_colours``.
"""

from oct_core.figures.charts.decisions import (
    decision_curves,
    operating_point,
    precision_recall,
)
from oct_core.figures.charts.explanations import (
    REGION_COLOURS,
    Profile,
    lesion_bars,
    likeness_by_stage,
    region_shares,
    scores_by_layer,
)
from oct_core.figures.charts.performance import (
    confusion_matrix,
    reliability_diagram,
    roc_one_vs_one,
    roc_one_vs_rest,
    roc_runs,
    sensitivity_specificity,
)
from oct_core.figures.charts.predictions import class_distribution, probability_bars
from oct_core.figures.charts.style import alt_text
from oct_core.figures.charts.training import learning_rate_curves, step_curves, training_curves

__all__ = [
    "REGION_COLOURS",
    "Profile",
    "alt_text",
    "class_distribution",
    "confusion_matrix",
    "decision_curves",
    "learning_rate_curves",
    "lesion_bars",
    "likeness_by_stage",
    "operating_point",
    "precision_recall",
    "probability_bars",
    "region_shares",
    "reliability_diagram",
    "roc_one_vs_one",
    "roc_one_vs_rest",
    "roc_runs",
    "scores_by_layer",
    "sensitivity_specificity",
    "step_curves",
    "training_curves",
]
