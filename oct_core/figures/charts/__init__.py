"""Arrays and dataclasses in, plotly figures out. No streamlit, no torch.

Every figure has a title, axis names and alt text (``alt_text``), and reads on a light and on a dark
page. Figures of several runs take ``colours``, run -> "#RRGGBB", from ``colours.run_colours``.
"""

from oct_core.figures.charts.curves import (
    CurveLook,
    LineStyle,
    class_styles,
    curve_title,
    pair_styles,
    precision_recall_curves,
    roc_curves,
)
from oct_core.figures.charts.decisions import decision_curves
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
    corruption_lines,
    reliability_diagram,
    sensitivity_specificity,
)
from oct_core.figures.charts.predictions import class_distribution
from oct_core.figures.charts.style import alt_text
from oct_core.figures.charts.training import (
    class_curves,
    learning_rate_curves,
    step_curves,
    training_curves,
)
from oct_core.figures.charts.verdicts import risk_coverage_curves, verdict_bars

__all__ = [
    "REGION_COLOURS",
    "CurveLook",
    "LineStyle",
    "Profile",
    "alt_text",
    "class_curves",
    "class_distribution",
    "class_styles",
    "confusion_matrix",
    "corruption_lines",
    "curve_title",
    "decision_curves",
    "learning_rate_curves",
    "lesion_bars",
    "likeness_by_stage",
    "pair_styles",
    "precision_recall_curves",
    "region_shares",
    "reliability_diagram",
    "risk_coverage_curves",
    "roc_curves",
    "scores_by_layer",
    "sensitivity_specificity",
    "step_curves",
    "training_curves",
    "verdict_bars",
]
