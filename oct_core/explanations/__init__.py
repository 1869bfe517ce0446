"""Where a network looked: one registry of methods, one function to ask, one result type."""

from oct_core.explanations import attribution, cams, gradcam
from oct_core.explanations.api import DEFAULT_METHODS, explain, explain_with_predictions
from oct_core.explanations.engine import Pass, passes
from oct_core.explanations.methods import (
    METHODS,
    ExplainableRun,
    Method,
    Request,
    activations_of,
    methods_for,
)

# In the order in which selectors show them.
for _method in (*gradcam.FAMILY, *cams.FAMILY, *attribution.FAMILY):
    METHODS.add(_method.name, _method)

__all__ = [
    "DEFAULT_METHODS",
    "METHODS",
    "ExplainableRun",
    "Method",
    "Pass",
    "Request",
    "activations_of",
    "explain",
    "explain_with_predictions",
    "methods_for",
    "passes",
]
