"""The catalog against what is built and trained by it, and the colours of runs."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from oct_core.errors import UnknownNameError
from oct_core.explanations import activations_of
from oct_core.figures.colours import CLASS_COLOURS, class_colour, model_colour, run_colours
from oct_core.models.catalog import ARCHITECTURES, ENSEMBLE_COLOUR, run_title
from oct_core.models.networks import BUILDERS, build_model
from oct_core.runs.files import run_rank
from oct_core.scans.preprocess import GRAY_MEAN, GRAY_STD
from oct_core.training.recipes import RECIPES, recipe
from oct_core.types import CLASSES

NETWORKS = {name: ARCHITECTURES.get(name) for name in ARCHITECTURES}


def test_every_network_has_an_entry_a_builder_and_a_recipe() -> None:
    assert list(ARCHITECTURES) == list(BUILDERS) == list(RECIPES)
    assert all(network.name == name for name, network in NETWORKS.items())
    assert all(recipe(name).architecture == name for name in ARCHITECTURES)
    with pytest.raises(UnknownNameError, match=r"no architecture is called 'vgg61'; did you mean"):
        recipe("vgg61")


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_an_entry_says_what_its_network_is(name: str) -> None:
    network = ARCHITECTURES.get(name)
    model = build_model(name, len(CLASSES), GRAY_MEAN, GRAY_STD, hollow=True)
    paths = dict(model.backbone.named_modules())
    assert all(path in paths for path in network.layers.values())
    assert network.head in paths and network.last_layer == list(network.layers)[-1]
    assert activations_of(model) == network.activations


def test_entries_are_complete_and_their_references_have_the_form_of_arxiv() -> None:
    for network in NETWORKS.values():
        assert network.title and re.fullmatch(r"[A-Z].+ \d{4}", network.citation)
        assert re.fullmatch(r"\d{4}\.\d{4,5}", network.arxiv)
        assert network.blurb[0].isupper() or network.blurb[0].isdigit()
        assert network.blurb.endswith(".")


@pytest.mark.parametrize(
    ("architecture", "run", "title"),
    [
        ("resnet50", "resnet50", "ResNet50"),
        ("resnet50", "mine", "ResNet50 (mine)"),
        ("transformer", "transformer", "transformer"),
        ("transformer", "mine", "transformer (mine)"),
    ],
)
def test_a_run_is_called_by_its_network_and_its_own_name(
    architecture: str, run: str, title: str
) -> None:
    assert run_title(architecture, run) == title


def test_runs_called_as_a_network_come_first_in_the_order_of_the_catalog() -> None:
    names = ["zebra", "densenet121", "ant", "resnet50", "vgg16"]
    assert sorted(names, key=run_rank) == [*ARCHITECTURES, "ant", "zebra"]


def brightness(colour: str) -> float:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_colours_differ_and_are_seen_on_black_and_white() -> None:
    networks = [network.colour for network in NETWORKS.values()]
    colours = [*networks, ENSEMBLE_COLOUR, *CLASS_COLOURS.values()]
    assert tuple(CLASS_COLOURS) == CLASSES
    for first, second in combinations(colours, 2):
        apart = [abs(int(first[i : i + 2], 16) - int(second[i : i + 2], 16)) for i in (1, 3, 5)]
        assert sum(apart) > 60, (first, second)
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in colours)
    assert all(60 < brightness(colour) < 190 for colour in colours)
    assert class_colour("DME") == CLASS_COLOURS["DME"] != class_colour("other")


def test_the_colour_of_a_run_is_that_of_its_network_whatever_the_run_is_called() -> None:
    colours = run_colours({"VGG16": "vgg16", "ResNet50 (mine-resnet50-from-vgg16)": "resnet50"})
    assert list(colours.values()) == [NETWORKS["vgg16"].colour, NETWORKS["resnet50"].colour]


def test_second_runs_of_a_network_have_other_shades_and_the_first_keeps_its_colour() -> None:
    colours = run_colours(
        {"vgg16": "vgg16", "b": "vgg16", "resnet50": "resnet50", "c": "vgg16", "d": "vgg16"}
    )
    assert colours["vgg16"] == NETWORKS["vgg16"].colour
    assert colours["resnet50"] == NETWORKS["resnet50"].colour
    assert len(set(colours.values())) == 5


def test_a_network_that_is_not_in_the_catalog_has_a_spare_colour_by_its_name() -> None:
    taken = {network.colour for network in NETWORKS.values()} | set(CLASS_COLOURS.values())
    assert model_colour("transformer") == model_colour("transformer")
    assert model_colour("transformer") not in taken
    assert run_colours({"mine": "transformer"}) == {"mine": model_colour("transformer")}
