"""The parts of the page Data and models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from oct_core.figures import charts
from oct_core.types import RunCard
from oct_core.words import message, say
from pages.ui.app.services import title_of
from pages.ui.shared.charts import show
from pages.ui.shared.tables import duration_text

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

REFERENCES = message("""| Part | Source |
|---|---|
| VGG16 | Simonyan and Zisserman 2014, [arXiv:1409.1556](https://arxiv.org/abs/1409.1556) |
| ResNet50 | He et al. 2015, [arXiv:1512.03385](https://arxiv.org/abs/1512.03385) |
| DenseNet121 | Huang et al. 2016, [arXiv:1608.06993](https://arxiv.org/abs/1608.06993) |
| Grad-CAM | Selvaraju et al. 2017, [arXiv:1610.02391](https://arxiv.org/abs/1610.02391) |
| Guided backpropagation | Springenberg et al. 2014, \
[arXiv:1412.6806](https://arxiv.org/abs/1412.6806) |""")


def distribution(cards: Sequence[RunCard]) -> None:
    """Scans and patients by class and split; one chart for all runs that share their data."""
    st.subheader(say("What the models learned from"), anchor=False)
    shared: dict[str, list[RunCard]] = {}
    for card in cards:
        if _counts(card):
            shared.setdefault(json.dumps(_counts(card), sort_keys=True), []).append(card)
    if not shared:
        st.info(
            say("No run card says on how many scans its run was trained."), icon=":material/info:"
        )
    for place, group in enumerate(shared.values()):
        st.markdown(
            say("Runs on this data: ") + ", ".join(f"**{title_of(card)}**" for card in group)
        )
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
                "All scans of a patient lie in one split, so that no model is tested on a patient "
                "it has learned from. A patient with scans of two classes counts in both."
            )
        )


def _counts(card: RunCard) -> dict[str, Mapping[str, Any]]:
    """Split -> class -> {"images", "patients"} of the card, {} if it has none."""
    found = (card.raw.get("data") or {}).get("counts") or {}
    order = [split for split in ("train", "val", "test") if split in found]
    return {
        split: found[split] for split in [*order, *(split for split in found if split not in order)]
    }


def origins() -> None:
    """Where scans and first weights came from."""
    st.subheader(say("Where data and weights come from"), anchor=False)
    left, right = st.columns(2, gap="large")
    left.markdown(
        say(
            "**Scans of the models in this repository.** A small part of OCT2017: Kermany, Zhang "
            "and Goldbaum 2018, [doi:10.17632/rscbjbr9sj](https://doi.org/10.17632/rscbjbr9sj), CC "
            "BY 4.0. Spectralis B-scans from adults, each labelled CNV, DME, DRUSEN or NORMAL by "
            "graders in several rounds. The scans themselves are not in this repository; names, "
            "digests and the split are. The pictures that the app draws itself are synthetic, and "
            "called so."
        )
    )
    right.markdown(
        say(
            "**Initial weights.** Each run card names its own. All three start from ImageNet "
            "weights: VGG16 from the convolutions of its authors (CC BY 4.0), ResNet50 from those "
            "of its authors down to the third stage (MIT; most of the fourth starts from random "
            "weights), DenseNet121 from a published ImageNet training (MIT). VGG16 keeps its 13 "
            "convolutions and takes a small head after a global average, 15 million parameters "
            "instead of 138 million."
        )
    )


def run_cards(cards: Sequence[RunCard]) -> None:
    """One folded card a run: the facts first, then everything as JSON."""
    st.subheader(say("Run cards"), anchor=False)
    for card in cards:
        with st.expander(f"{title_of(card)} · {card.status}", icon=":material/id_card:"):
            _run_card(card)


def _run_card(card: RunCard) -> None:
    raw = card.raw
    left, right = st.columns([3, 2], gap="large")
    left.table(facts(card), border="horizontal")
    with right:
        for heading, key in (
            (say("Intended use"), "intended_use"),
            ("Limits", "limits"),
            ("Licence", "licence"),
        ):
            if raw.get(key):
                st.markdown(f"**{heading}.** {_prose(raw[key])}")
        text = json.dumps(raw, indent=1)
        st.download_button(
            say("The whole card as JSON"),
            text,
            f"{card.name}-card.json",
            "application/json",
            key=f"card_{card.name}",
        )
    with st.popover(say("Training settings"), icon=":material/tune:"):
        st.json(raw.get("training") or {}, expanded=True)


def _prose(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def facts(card: RunCard) -> dict[str, str]:
    """The lines of a run card that most people ask for, without those it does not have."""
    raw = card.raw
    versions = raw.get("versions") or {}
    seconds = raw.get("wall_seconds")
    found = {
        "Network": card.architecture,
        say("First weights"): _prose(raw.get("initialisation") or ""),
        say("Learned from too"): ", ".join(
            str(name).split(":")[0] for name in (raw.get("training") or {}).get("teachers") or ()
        ),
        "Input": f"{card.preprocessing['size']} × {card.preprocessing['size']} pixels"
        if "size" in card.preprocessing
        else "",
        say("Best epoch"): "" if card.best_epoch is None else str(card.best_epoch),
        "Temperature": f"{card.temperature:.3f}",
        "Device": str(raw.get("device") or ""),
        say("Time to train"): duration_text(float(seconds)) if seconds else "",
        say("Git commit"): str(raw.get("git_commit") or "")[:12],
        say("Weights sha256"): card.weights_sha256[:16],
        say("Data manifest sha256"): str((raw.get("data") or {}).get("manifest_sha256") or "")[:16],
        "Software": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return {name: value for name, value in found.items() if value}


def own_scans() -> None:
    """From a folder of scans to curves on the page."""
    st.subheader(say("Train on your own scans"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(
            say(
                "**All three, in one line.** On a GPU if there is one, else on the processor; the "
                "folder may be raw or prepared."
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
            "each with `CNV`, `DME`, `DRUSEN`, `NORMAL`;\n- a plain folder of class folders;\n- a "
            "CSV manifest with the columns `path`, `label`, `patient`, `split`.\n\nPatients are "
            "read from names such as `CNV-1016042-1.jpeg` (the number in the middle) and never lie "
            "in two splits. While a run is being trained on this machine, **Training curves** "
            "grows by itself; when it is done, every page has it."
        )
    )
    st.page_link(
        "pages/2_Training_curves.py", label=say("Training curves"), icon=":material/show_chart:"
    )


def licence_and_citation() -> None:
    """Under which terms, and how to cite."""
    st.subheader(say("Licence and citation"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(
            say(
                "The program and the weights trained with it are open source (Apache-2.0, see "
                "`LICENSE`). The scans they learned from are CC BY 4.0: name their authors when "
                "you publish anything made with them."
            )
        )
        st.markdown(REFERENCES)
    right.code(CITATION, language="bibtex", wrap_lines=True)
