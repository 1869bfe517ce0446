"""Metrics: numpy in, numpy out. No torch.

Importing this package fills ``METRICS``, the registry the tests and tables run over.
"""

from oct_core.metrics import calibration, classification, curves, triage
from oct_core.metrics.base import METRICS, Metric
from oct_core.metrics.intervals import Interval, bootstrap_metrics
from oct_core.metrics.summary import Evaluation, evaluate_table
from oct_core.metrics.undefined import reason_undefined

__all__ = [
    "METRICS",
    "Evaluation",
    "Interval",
    "Metric",
    "bootstrap_metrics",
    "calibration",
    "classification",
    "curves",
    "evaluate_table",
    "reason_undefined",
    "triage",
]
