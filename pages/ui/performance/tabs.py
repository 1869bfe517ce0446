"""The tabs of the page Performance on errors, calibration, comparison and robustness. Each is a
fragment: a choice in it draws it alone again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import streamlit as st

from oct_core.errors import MetricError
from oct_core.figures import charts
from oct_core.metrics.comparison_words import describe_comparison, p_text
from oct_core.metrics.intervals import Interval, interval_text
from oct_core.metrics.merging import called_groups
from oct_core.metrics.summary import Evaluation
from oct_core.runs.evaluations import CORRUPTED
from oct_core.types import RunCard
from oct_core.words import message, say, say_count
from pages.ui.app.language import fragment
from pages.ui.app.session import keep_choice
from pages.ui.performance import data
from pages.ui.performance.colours import source_colours
from pages.ui.performance.data import Source
from pages.ui.shared.charts import clicked, show
from pages.ui.shared.data_folder import data_folder
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.scan_rows import show_scans
from pages.ui.shared.tables import (
    Cell,
    Estimate,
    class_rows,
    estimate,
    figure_rows,
    prediction_frame,
    show_rows,
)

Scores = Mapping[str, Evaluation]
MatrixCell = tuple[str, str, str]
"""Title of a predictor, true class, predicted class."""
_CELL = "performance_cell"
UNITS = {"counts": message("Counts"), "per_cent": message("Percent of the true class")}
_CALIBRATION = {
    "ece": "expected_calibration_error",
    "classwise_ece": "classwise_calibration_error",
    "brier": "brier_score",
    "log_loss": "log_loss",
}


@fragment
def confusion(scores: Scores, sources: Sequence[Source]) -> None:
    """A matrix a predictor; a click on a cell lists its scans."""
    unit = keep_choice(
        "confusion_unit",
        "counts",
        st.segmented_control,
        say("Show"),
        list(UNITS),
        page="performance",
        format_func=lambda key: say(UNITS[key]),
        required=True,
    )
    st.caption(say("Click a cell to list its scans, or choose it here."))
    chosen = _choose_cell(scores)
    row = 2 if len(sources) == 4 else 3
    for start in range(0, len(sources), row):
        columns = st.columns(min(row, len(sources)), gap="medium")
        for column, source in zip(columns, sources[start : start + row], strict=False):
            evaluation, key = scores[source.title], f"confusion_{source.title}"
            cell = chosen[1:] if chosen is not None and chosen[0] == source.title else None
            figure = charts.confusion_matrix(
                evaluation.confusion,
                evaluation.classes,
                title=say("{model}: confusion matrix", model=source.title),
                per_cent=unit == "per_cent",
                cell=cell if cell and set(cell) <= set(evaluation.classes) else None,
            )
            with column:
                show(figure.update_layout(height=340), key, _remember_cell(source.title, key))
    if chosen is not None:
        _scans_of_cell(sources, *chosen)
    show(charts.sensitivity_specificity(scores, source_colours(sources)), "sensitivity")
    st.caption(
        say(
            "Sensitivity: the share of the scans of a class that the model assigns to it. "
            "Specificity: the share of all other scans that it does not. The lines are 95% "
            "intervals."
        )
    )
    show_rows(
        class_rows(scores),
        say("Sensitivity and specificity by class and model"),
        f"classes_{sources[0].data}",
        height="content",
    )


def _choose_cell(scores: Scores) -> MatrixCell | None:
    """A cell of a matrix by the keyboard or by a click, errors first."""
    counts = {
        (title, true, predicted): int(evaluation.confusion[row, column])
        for title, evaluation in scores.items()
        for row, true in enumerate(evaluation.classes)
        for column, predicted in enumerate(evaluation.classes)
    }
    if st.session_state.get(_CELL) not in counts:
        st.session_state.pop(_CELL, None)
    cell: MatrixCell | None = st.selectbox(
        say("Cell of a matrix"),
        sorted(counts, key=lambda cell: (not counts[cell], cell[1] == cell[2])),
        index=None,
        key=_CELL,
        placeholder=say("Choose a cell"),
        label_visibility="collapsed",
        format_func=lambda cell: say(
            "{model}: {count} of {true} called {predicted}",
            model=cell[0],
            count=counts.get(cell, 0),
            true=cell[1],
            predicted=cell[2],
        ),
    )
    return cell


def _remember_cell(title: str, key: str) -> Callable[[], None]:
    def remember() -> None:
        point = clicked(key)
        if point is None:
            st.session_state.pop(_CELL, None)
        else:
            st.session_state[_CELL] = (title, str(point["y"]), str(point["x"]))

    return remember


def _scans_of_cell(sources: Sequence[Source], title: str, true: str, predicted: str) -> None:
    source = next((each for each in sources if each.title == title), None)
    if source is None:
        return
    answers = data.table_of(source)
    table, chances = data.measured(source)
    if not {true, predicted} <= set(table.classes):
        return
    called, _ = called_groups(answers, source.temperature)
    rows = np.flatnonzero(
        (table.label == table.classes.index(true)) & (called == table.classes.index(predicted))
    )
    count = say_count("{count} scan", "{count} scans", len(rows))
    st.header(
        say(
            "{model}: {count} of {true} called {predicted}",
            model=escape_markdown(title),
            count=count,
            true=true,
            predicted=predicted,
        ),
        anchor=False,
    )
    if source.data.startswith(CORRUPTED):
        st.caption(say("They open as they were before the corruption."))
    if len(rows):
        frame = prediction_frame(title, table.take(rows), chances[rows])
        show_scans(frame, "cell", at_hand=data_folder() is not None)


@fragment
def calibration(sources: Sequence[Source]) -> None:
    """Reliability and calibration errors before and after the temperature."""
    points = {source.title: data.reliability_of(source) for source in sources}
    colours = source_colours(sources)
    titles = (
        say("Reliability without a temperature"),
        say("Reliability with the temperature"),
    )
    for stage, column in enumerate(st.columns(2, gap="medium")):
        with column:
            of_stage = {title: both[stage] for title, both in points.items()}
            figure = charts.reliability_diagram(of_stage, colours, titles[stage])
            show(figure.update_layout(height=460), f"reliability_{stage}")
    rows: list[dict[str, Cell]] = []
    for source in sources:
        for temperature in dict.fromkeys((1.0, source.temperature)):
            scores = data.evaluation_of(source, temperature)
            row: dict[str, Cell] = {
                "model": source.title,
                "temperature": f"{temperature:.3f}",
            }
            rows.append(row | {key: estimate(scores, name) for key, name in _CALIBRATION.items()})
    show_rows(
        rows,
        say("Calibration of each model without and with its temperature"),
        f"calibration_{sources[0].data}",
    )
    st.caption(
        say(
            "A temperature divides what the network puts out, so that its confidence means what it "
            "says; it was fitted on validation scans and changes no predicted class. 1.000 stands "
            "for none: the ensemble's answers are means of calibrated ones. All four figures are "
            "better the smaller they are. The interval of a calibration error holds the mean error "
            "of samples of this size, which chance alone makes larger than the true one."
        )
    )


@fragment
def comparison(sources: Sequence[Source]) -> None:
    """Every pair of predictors: differences with intervals and tests, and what they say in
    words.
    """
    if len(sources) < 2:
        st.info(say("Select two or more models to compare."), icon=":material/check_box:")
        return
    try:
        pairs = data.comparisons_of(tuple(sources))
    except MetricError as error:
        st.info(escape_markdown(str(error)))
        return
    rows: list[dict[str, Cell]] = [
        {
            "pair": say("{first} less {second}", first=pair.name_a, second=pair.name_b),
            "accuracy_difference": _estimate(pair.difference, 3, pair.n_patients),
            "auc_difference": _estimate(pair.auc_difference, 4, pair.n_patients),
            "mcnemar": p_text(pair.mcnemar.p_value),
            "mcnemar_holm": p_text(pair.adjusted_mcnemar),
            "delong": p_text(pair.delong.p_value),
            "delong_holm": p_text(pair.adjusted_delong),
        }
        for pair in pairs
    ]
    show_rows(
        rows,
        say("Differences between the models, with tests"),
        f"comparison_{sources[0].data}",
    )
    st.markdown("\n".join(f"- {escape_markdown(describe_comparison(pair))}" for pair in pairs))
    st.caption(
        say(
            "Both models of a pair scored the same scans. An interval that holds 0 shows no "
            "difference, which does not show that there is none: this part is small."
        )
    )


def _estimate(interval: Interval, digits: int, patients: int) -> Estimate:
    return Estimate(interval, interval_text(interval, digits, patients=patients))


@fragment
def robustness(cards: Sequence[RunCard], sources: Sequence[Source]) -> None:
    """Accuracy under each corruption and grade."""
    by_title = {source.title: cells for source in sources if (cells := data.robustness_of(source))}
    if not by_title:
        st.info(
            say(
                "No answers to corrupted scans yet. Make them with `python -m oct_core evaluate "
                "RUN --data DATA`."
            ),
            icon=":material/blur_on:",
        )
        return
    colours = source_colours([source for source in sources if source.title in by_title])
    in_words = {
        title: {say(name): cell for name, cell in cells.items()}
        for title, cells in by_title.items()
    }
    show(charts.corruption_lines(in_words, colours, say("Accuracy under corruption")), "robustness")
    rows: list[dict[str, Cell]] = [
        {
            "model": title,
            "corruption": say(name),
            "grade": str(grade),
            "accuracy": Estimate(cell, interval_text(cell)),
        }
        for title, cells in by_title.items()
        for name, grades in cells.items()
        for grade, cell in enumerate(grades)
    ]
    with st.expander(say("Table")):
        show_rows(rows, say("Accuracy by corruption and grade"), "robustness", height=420)
    st.caption(
        say(
            "Validation scans, as they are (grade 0) and changed in three grades, whatever data "
            "is chosen above. The training changes scans in similar ways, so this is no test on "
            "another device; external sets are."
        )
    )


def further_figures(scores: Scores, key: str) -> None:
    """Every metric, one row each."""
    show_rows(figure_rows(scores), say("All figures of each model"), f"all_{key}", height="content")
    st.caption(
        say(
            "Kermany's cost of an error: 4 for CNV or DME called NORMAL, 2 for CNV or DME called "
            "DRUSEN, 1 for any other. Triage: CNV and DME are urgent, DRUSEN is routine, NORMAL is "
            "observed. Area under the ROC curve: 1 is perfect, 0.5 is chance."
        )
    )
