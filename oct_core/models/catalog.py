"""Everything about a network that is not its layers' code: one entry a network. Loads no torch.

Titles, colours, blurbs, references, help texts, the order of runs and ``train_all.sh`` are read
from here. A new network is one entry here, one builder in ``models/networks.py`` and one recipe in
``training/recipes.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from oct_core.registry import Registry
from oct_core.words import message, say


@dataclass(frozen=True)
class Architecture:
    """One network.

    name : the key, torchvision's name for it (its ImageNet weights are asked for by it).
    title : for people. citation : authors and year of the paper. arxiv : its number there.
    blurb : what is special about it, one sentence for the home page.
    layers : layer name -> module path in the backbone, shallow to deep; explanations are taken at
    its output.
    head : the module path prefix of the classifier, which initial weights fill only where it is not
    trained.
    colour : "#RRGGBB", of its runs in every figure.
    activations : class names of the activation modules that it is made of, sorted; see
    ``explanations.methods.activations_of``.
    dropout : the largest share of a layer's outputs that training drops at random, 0 for none.
    """

    name: str
    title: str
    citation: str
    arxiv: str
    blurb: str
    layers: dict[str, str]
    head: str
    colour: str
    activations: tuple[str, ...] = ("ReLU",)
    dropout: float = 0.0

    @property
    def last_layer(self) -> str:
        """The deepest named layer, the one that the head pools."""
        return list(self.layers)[-1]


ARCHITECTURES: Registry[Architecture] = Registry(message("architecture"))
ARCHITECTURES.add(
    "vgg16",
    Architecture(
        "vgg16",
        "VGG16",
        "Simonyan and Zisserman 2014",
        "1409.1556",
        message("13 convolutional layers in a row, here with a small classifier."),
        # The last ReLU before each pool.
        {f"block{i}": f"features.{index}" for i, index in enumerate((3, 8, 15, 22, 29), start=1)},
        "classifier",
        "#0072B2",
        dropout=0.5,
    ),
)
ARCHITECTURES.add(
    "resnet50",
    Architecture(
        "resnet50",
        "ResNet50",
        "He et al. 2015",
        "1512.03385",
        message("50 layers with shortcuts: each block learns a correction to its input."),
        {"stem": "relu", **{f"layer{i}": f"layer{i}" for i in range(1, 5)}},
        "fc",
        "#D55E00",
    ),
)
ARCHITECTURES.add(
    "densenet121",
    Architecture(
        "densenet121",
        "DenseNet121",
        "Huang et al. 2016",
        "1608.06993",
        message("121 layers; each layer of a block sees the outputs of all before it."),
        {
            "stem": "features.relu0",
            **{f"denseblock{i}": f"features.denseblock{i}" for i in range(1, 4)},
            "denseblock4": "final_relu",
        },
        "classifier",
        "#009E73",
    ),
)


ENSEMBLE = "ensemble"
"""The name of several runs asked together; no run of one network may have it."""
ENSEMBLE_TITLE = message("Ensemble")
ENSEMBLE_COLOUR = "#6C4FBF"
ENSEMBLE_BLURB = message("The mean of the calibrated probabilities of the chosen models.")


def run_title(architecture: str, run: str | None = None) -> str:
    """What people know a run by: its network's title, and the run's own name where that says more.

    run : its name; None for one that is called as its network. A network that is not in the
    catalog goes by its key. The ensemble has a title, too.
    """
    if architecture == ENSEMBLE:
        title = say(ENSEMBLE_TITLE)
    elif architecture in ARCHITECTURES:
        title = ARCHITECTURES.get(architecture).title
    else:
        title = architecture
    return title if run is None or run == architecture else f"{title} ({run})"
