"""The parts of the page Data and models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from oct_core.figures import charts
from oct_core.models.catalog import ARCHITECTURES, run_title
from oct_core.types import RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.shared.charts import show
from pages.ui.shared.markdown import escape_markdown
from pages.ui.shared.tables import STATUSES, duration_text

CITATION = """@article{kermany2018,
  title   = {Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning},
  author  = {Kermany, Daniel S. and Goldbaum, Michael and Cai, Wenjia and others},
  journal = {Cell}, volume = {172}, number = {5}, pages = {1122--1131.e9}, year = {2018},
  doi     = {10.1016/j.cell.2018.02.010}
}
@misc{kermany2018data,
  title     = {Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images
               for Classification},
  author    = {Kermany, Daniel and Zhang, Kang and Goldbaum, Michael},
  publisher = {Mendeley Data}, year = {2018}, doi = {10.17632/rscbjbr9sj}
}"""

MAP_REFERENCES = (
    ("Grad-CAM", "Selvaraju et al. 2017", "1610.02391"),
    (message("Guided backpropagation"), "Springenberg et al. 2014", "1412.6806"),
)


def references() -> str:
    """The papers of the networks and of the maps, as a Markdown table."""
    networks = [ARCHITECTURES.get(name) for name in ARCHITECTURES]
    papers = [(network.title, network.citation, network.arxiv) for network in networks]
    rows = [
        f"| {say(part)} | {citation}, [arXiv:{number}](https://arxiv.org/abs/{number}) |"
        for part, citation, number in (*papers, *MAP_REFERENCES)
    ]
    return "\n".join([say("| Part | Source |"), "|---|---|", *rows])


def distribution(cards: Sequence[RunCard]) -> None:
    """Scans and patients by class and split; one chart for all runs that share their data."""
    st.header(say("Training data"), anchor=False)
    shared: dict[str, list[RunCard]] = {}
    for card in cards:
        if _counts(card):
            shared.setdefault(json.dumps(_counts(card), sort_keys=True), []).append(card)
    if not shared:
        st.info(
            say("No run card states how many scans its model was trained on."),
            icon=":material/info:",
        )
    for place, group in enumerate(shared.values()):
        names = ", ".join(f"**{escape_markdown(title_of(card))}**" for card in group)
        st.markdown(say("Models trained on this data: {names}", names=names))
        counts = _counts(group[0])
        left, right = st.columns(2, gap="medium")
        with left:
            show(charts.class_distribution(counts), f"images_{place}")
        with right:
            show(
                charts.class_distribution(counts, "patients", say("Patients by class and split")),
                f"patients_{place}",
            )
        st.caption(
            say(
                "All scans of a patient are in the same split, so no model is tested on a patient "
                "it was trained on. A patient with scans of two classes is counted in both."
            )
        )


def _counts(card: RunCard) -> dict[str, Mapping[str, Any]]:
    """Split -> class -> {"images", "patients"} of the card, {} if it has none."""
    counts = (card.raw.get("data") or {}).get("counts") or {}
    order = [split for split in ("train", "val", "test") if split in counts]
    order += [split for split in counts if split not in order]
    return {split: counts[split] for split in order}


def origins() -> None:
    """Where scans and initial weights came from."""
    st.header(say("Sources of data and weights"), anchor=False)
    left, right = st.columns(2, gap="large")
    left.markdown(
        say(
            "**Scans.** The models in this repository were trained on a small part of OCT2017: "
            "Kermany, Zhang and Goldbaum 2018, "
            "[doi:10.17632/rscbjbr9sj](https://doi.org/10.17632/rscbjbr9sj), CC BY 4.0. These are "
            "Spectralis B-scans of adults, each labelled CNV, DME, DRUSEN or NORMAL by several "
            "tiers of graders. The scans are not in this repository; their names, digests and "
            "split are. Scans drawn by the app itself are always labelled synthetic."
        )
    )
    right.markdown(
        say(
            "**Initial weights.** All three shipped models start from ImageNet weights and read "
            "scans at 224 × 224 pixels. VGG16: the convolutional layers published by its authors "
            "(CC BY 4.0). ResNet50: the layers published by its authors, up to the third stage "
            "(MIT); most of the fourth starts from random weights. DenseNet121: a published "
            "ImageNet training (MIT). VGG16 keeps its 13 convolutional layers and has a small "
            "classifier after a global average, 15 million parameters instead of 138 million."
        )
    )


def run_cards(cards: Sequence[RunCard]) -> None:
    """One folded card a run: the facts first, then everything as JSON."""
    st.header(say("Run cards"), anchor=False)
    for card in cards:
        title = escape_markdown(title_of(card))
        status = say(STATUSES.get(card.status, card.status))
        with st.expander(f"{title} · {status}", icon=":material/id_card:"):
            _run_card(card)


def _run_card(card: RunCard) -> None:
    raw = card.raw
    left, right = st.columns([3, 2], gap="large")
    left.table(facts(card), border="horizontal")
    with right:
        for heading, key in (
            (say("Intended use"), "intended_use"),
            (say("Limits"), "limits"),
            (say("Licence"), "licence"),
        ):
            if raw.get(key):
                st.markdown(f"**{heading}.** {escape_markdown(_prose(raw[key]))}")
        text = json.dumps(raw, indent=1)
        st.download_button(
            say("Download the run card (JSON)"),
            text,
            f"{card.name}-card.json",
            "application/json",
            key=f"card_{card.name}",
        )
    with st.popover(say("Training settings"), icon=":material/tune:"):
        st.json(raw.get("training") or {}, expanded=True)


def _prose(value: Any) -> str:
    """A text of a card, in the language of the moment where there is a translation."""
    return " ".join(say(str(part)) for part in (value if isinstance(value, list) else [value]))


def facts(card: RunCard) -> dict[str, str]:
    """The lines of a run card that most people ask for, for Markdown, without those it lacks."""
    raw = card.raw
    versions = raw.get("versions") or {}
    seconds = raw.get("wall_seconds")
    size = card.preprocessing.get("size")
    lines = {
        say("Network"): run_title(card.architecture, card.architecture),
        say("Initial weights"): _prose(raw.get("initialisation") or ""),
        say("Teacher models"): ", ".join(
            str(name).split(":")[0] for name in (raw.get("training") or {}).get("teachers") or ()
        ),
        say("Input"): say("{size} × {size} pixels", size=size) if size else "",
        say("Best epoch"): "" if card.best_epoch is None else str(card.best_epoch),
        say("Temperature"): f"{card.temperature:.3f}",
        say("Training device"): str(raw.get("device") or ""),
        say("Training time"): duration_text(float(seconds)) if seconds else "",
        say("Git commit"): str(raw.get("git_commit") or "")[:12],
        say("SHA-256 of the weights"): card.weights_sha256[:16],
        say("SHA-256 of the data manifest"): str(
            (raw.get("data") or {}).get("manifest_sha256") or ""
        )[:16],
        say("Software"): ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return {name: escape_markdown(value) for name, value in lines.items() if value}


def own_scans() -> None:
    """From a folder of scans to curves on the page."""
    st.header(say("Train on your own scans"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(
            say(
                "**All models with one command.** On a GPU if there is one, else on the CPU. "
                "The folder may hold the original scans or be prepared already."
            )
        )
        st.code("./train_all.sh FOLDER", language="bash")
        st.markdown(say("**Or step by step**"))
        st.code(
            "python -m oct_core prepare FOLDER --out DATA\n"
            "python -m oct_core train resnet50 --data DATA --run my-resnet50\n"
            "python -m oct_core evaluate my-resnet50 --data DATA",
            language="bash",
            wrap_lines=True,
        )
    right.markdown(
        say(
            "The folder has one of three forms:\n- the OCT2017 layout: `train/`, `val/`, `test/`, "
            "each with `CNV`, `DME`, `DRUSEN`, `NORMAL`;\n- a plain folder with one folder per "
            "class;\n- a CSV manifest with the columns `path`, `label`, `patient`, "
            "`split`.\n\nThe patient is read from file names such as `CNV-1016042-1.jpeg` (the "
            "number in the middle) and is never in two splits. While a model is being trained on "
            "this machine, the page **Training curves** updates itself; once training ends, the "
            "model is on every page."
        )
    )
    st.page_link(
        "pages/2_Training_curves.py", label=say("Training curves"), icon=":material/show_chart:"
    )


def licence_and_citation() -> None:
    """Under which terms, and how to cite."""
    st.header(say("Licence and citation"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(
            say(
                "The program and the weights trained with it are open source (Apache-2.0, see "
                "`LICENSE`). The training scans are licensed CC BY 4.0: credit their authors when "
                "you publish anything made with them."
            )
        )
        st.markdown(references())
    right.code(CITATION, language="bibtex", wrap_lines=True)
