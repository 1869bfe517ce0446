"""What a training is told and starts from: configuration, recipes, initial weights, augmentation,
the estimate.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model_weights

from oct_core.data.pack import Pack
from oct_core.errors import TrainingError
from oct_core.models.networks import build_model
from oct_core.runs.files import WEIGHTS, read_card
from oct_core.runs.predict import logits_of_pack
from oct_core.scans.corruptions import CORRUPTIONS, corrupt
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import GRAY_MEAN, IMAGENET_MEAN, Preprocessing
from oct_core.training import initial
from oct_core.training.augment import Augmenter
from oct_core.training.card import new_card
from oct_core.training.config import TrainingConfig
from oct_core.training.data import PHANTOM_SEED, training_data, view_off_fovea
from oct_core.training.draws import Draws
from oct_core.training.estimate import Estimate, readable
from oct_core.training.initial import fresh_tensors, initial_model
from oct_core.training.job import TrainingJob
from oct_core.training.loop import Trainer
from oct_core.training.publish import calibration_data
from oct_core.training.recipes import RECIPES, default_batch, recipe
from oct_core.training.run import train_run
from oct_core.types import CLASSES

torch.set_num_threads(1)
CPU = torch.device("cpu")
QUICK = TrainingConfig(
    "densenet121", initialisation="random", epochs=2, batch_size=4, learning_rate=1e-3, warmup=0.25
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be over 0, not 0"),
        ({"batch_size": -4}, "batch_size must be over 0, not -4"),
        ({"learning_rate": 0.0}, "learning_rate must be over 0"),
        ({"learning_rate": math.inf}, "learning_rate must be over 0, not inf"),
        ({"head_learning_rate": math.nan}, "head_learning_rate must be over 0, not nan"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
        ({"weight_decay": math.nan}, "weight_decay must be 0 or more, not nan"),
        ({"phantoms_per_class": -1}, "phantoms_per_class must be 0 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"warmup": 1.0}, "warmup must be at least 0 and under 1"),
        ({"label_smoothing": -0.1}, "label_smoothing must be at least 0"),
        ({"weight_averaging": 1.0}, "weight_averaging must be at least 0 and under 1"),
        ({"augmentation": 1.5}, "augmentation must be 0"),
        ({"frozen_layers": 5}, "frozen_layers must be 0 to 4 for densenet121, not 5"),
        (
            {"trained_layers": 6},
            r"trained_layers must be 0 \(all\) or 1 to 5 for densenet121 with 0 frozen, not 6",
        ),
        ({"trained_layers": 2, "frozen_layers": 2}, "3 to 5 for densenet121 with 2 frozen, not 2"),
        ({"trained_layers": -1}, "trained_layers must be 0"),
        ({"trained_layers": 2}, "give its weights.safetensors as initialisation"),
        ({"limit": 7}, "limit must be at least 8 scans, not 7"),
    ],
)
def test_a_setting_out_of_range_is_refused_when_the_configuration_is_built(
    changes: dict[str, float], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        TrainingConfig("densenet121", **changes)  # type: ignore[arg-type]


def test_a_recipe_takes_what_is_given_and_none_changes_nothing() -> None:
    assert recipe("resnet50", epochs=None, seed=3) == replace(RECIPES.get("resnet50"), seed=3)
    random = recipe("vgg16", initialisation="random")
    assert random.learning_rate > RECIPES.get("vgg16").learning_rate
    assert random.frozen_layers == 0 < RECIPES.get("vgg16").frozen_layers, (
        "random layers must not stay as they start"
    )
    assert recipe("vgg16", initialisation="random", learning_rate=2e-4).learning_rate == 2e-4
    assert recipe("vgg16", initialisation="w.safetensors", trained_layers=2).frozen_layers == 0, (
        "or its first layers could never be trained"
    )


def test_the_card_holds_no_folder_of_the_users() -> None:
    for path in ("/home/me/secret/w.safetensors", "C:\\me\\w.safetensors"):
        assert replace(QUICK, initialisation=path).to_dict()["initialisation"] == "w.safetensors"
    assert QUICK.to_dict()["initialisation"] == "random"


def test_the_normalisation_fits_the_initial_weights() -> None:
    assert QUICK.normalisation[0] == GRAY_MEAN
    assert replace(QUICK, initialisation="imagenet").normalisation[0] == IMAGENET_MEAN


def test_the_weights_of_a_run_bring_the_normalisation_of_its_card(
    demo_root: Path, tmp_path: Path
) -> None:
    own = demo_root / "densenet121" / WEIGHTS
    config = replace(QUICK, initialisation=str(own))
    card = read_card(own.parent)
    assert config.normalisation == (
        tuple(card.preprocessing["mean"]),
        tuple(card.preprocessing["std"]),
    )
    assert config.normalisation[0] != IMAGENET_MEAN
    alone = tmp_path / WEIGHTS
    alone.write_bytes(own.read_bytes())
    assert replace(QUICK, initialisation=str(alone)).normalisation[0] == IMAGENET_MEAN


def test_random_weights_are_seeded() -> None:
    first, again, other = (
        initial_model(replace(QUICK, seed=seed), 4).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole DenseNet121 in half precision, head included."""
    torch.manual_seed(99)
    state = build_model("densenet121", 4, GRAY_MEAN, GRAY_MEAN).backbone.state_dict()
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    save_file(
        {
            name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
            for name, tensor in state.items()
        },
        path,
    )
    return path


def changed_file(
    source: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> Path:
    from safetensors.torch import load_file

    save_file(change(load_file(source)), target)
    return target


def test_a_safetensors_file_fills_the_backbone_and_never_the_head(backbone_file: Path) -> None:
    from safetensors.torch import load_file

    given = load_file(backbone_file)
    found = initial_model(
        replace(QUICK, initialisation=str(backbone_file)), 4
    ).backbone.state_dict()
    fresh = initial_model(QUICK, 4).backbone.state_dict()
    for name, tensor in found.items():
        expected = fresh[name] if name.startswith("classifier") else given[name].to(tensor.dtype)
        assert torch.equal(tensor, expected), name


def old_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As torchvision's own file has them: features.denseblock1.denselayer1.norm.1.weight."""
    import re

    return {
        re.sub(r"(denselayer\d+\.)(norm|conv)(\d)", r"\1\2.\3", name): tensor
        for name, tensor in weights.items()
        if "num_batches" not in name
    }


def test_the_key_names_of_torchvisions_densenet_file_are_understood(
    backbone_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    old = changed_file(backbone_file, tmp_path / "old.safetensors", old_names)
    assert "features.denseblock1.denselayer1.norm.1.weight" in load_file(old)
    expected = initial_model(
        replace(QUICK, initialisation=str(backbone_file)), 4
    ).backbone.state_dict()
    monkeypatch.setattr(initial, "_imagenet", lambda architecture: load_file(old))
    for start in (str(old), "imagenet"):
        found = initial_model(replace(QUICK, initialisation=start), 4).backbone.state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in found)


def test_backbone_keys_that_are_missing_or_of_another_shape_are_named(
    backbone_file: Path, tmp_path: Path
) -> None:
    key = "features.conv0.weight"
    lacking = changed_file(
        backbone_file,
        tmp_path / "a.safetensors",
        lambda all_: {k: v for k, v in all_.items() if k != key},
    )
    wrong = changed_file(
        backbone_file,
        tmp_path / "b.safetensors",
        lambda all_: {**all_, key: all_[key][:, :1].contiguous()},
    )
    for path in (lacking, wrong):
        with pytest.raises(
            TrainingError, match=rf"lacks 1 of \d+ backbone tensors of densenet121, '{key}' for one"
        ):
            initial_model(replace(QUICK, initialisation=str(path)), 4)
        filled = replace(QUICK, initialisation=str(path), fill_missing=True)
        assert fresh_tensors(filled) == [key]
        started = initial_model(filled, 4).backbone.state_dict()
        assert torch.equal(started[key], initial_model(QUICK, 4).backbone.state_dict()[key])
        assert fresh_tensors(replace(filled, fill_missing=False)) == []
    whole = replace(QUICK, initialisation=str(backbone_file), fill_missing=True)
    assert fresh_tensors(whole) == []


def test_a_file_that_fills_nothing_is_refused_even_so(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    config = replace(QUICK, initialisation=str(tmp_path / "other.safetensors"), fill_missing=True)
    with pytest.raises(TrainingError, match=r"lacks \d+ of \d+ backbone tensors"):
        initial_model(config, 4)


def test_pickled_damaged_and_missing_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    (tmp_path / "bad.safetensors").write_bytes((tmp_path / "w.pt").read_bytes())
    for name, message in {
        "w.pt": "pickled weights are never loaded",
        "bad.safetensors": "cannot be read",
        "no.safetensors": "cannot be read",
    }.items():
        with pytest.raises(TrainingError, match=message):
            initial_model(replace(QUICK, initialisation=str(tmp_path / name)), 4)


def test_no_network_says_what_to_give_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(architecture: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(initial.models, "get_model_weights", offline)
    with pytest.raises(
        TrainingError,
        match=r"could not download .* densenet121 .*--init random or --init FILE\.safetensors",
    ):
        initial_model(replace(QUICK, initialisation="imagenet"), 4)


def test_the_card_holds_the_hash_of_the_initial_weights(
    backbone_file: Path, tiny_pack: Pack
) -> None:
    expected = hashlib.sha256(backbone_file.read_bytes()).hexdigest()
    for initialisation, known in ((str(backbone_file), expected), ("random", "")):
        card = new_card(replace(QUICK, initialisation=initialisation), tiny_pack, "run", CPU)
        assert card["initial_weights_sha256"] == known


def test_initial_weights_that_do_not_fit_leave_no_run_behind(
    tiny_pack: Pack, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="pickled"):
        train_run(
            TrainingJob(replace(QUICK, initialisation="w.pt"), tiny_pack, tmp_path / "run", CPU)
        )
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    pixels = [
        Preprocessing(64).prepare(make_phantom(label, seed, 96, 96).pixels)
        for seed in (1, 2, 3)
        for label in CLASSES
    ]
    return torch.from_numpy(np.stack(pixels))[:, None].float() / 255


def draws(count: int, seed: int = 0) -> Draws:
    return Draws.seeded(seed, CPU, count)


def augmented(batch: torch.Tensor, strength: float = 1.0, seed: int = 0) -> torch.Tensor:
    return Augmenter(strength)(batch, draws(len(batch), seed))


def test_augmentation_is_seeded_in_range_and_leaves_the_batch_alone(batch: torch.Tensor) -> None:
    before = batch.clone()
    first, again, other = (augmented(batch, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(batch, before)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert (
        first.shape == batch.shape
        and first.min() >= 0
        and first.max() <= 1
        and torch.isfinite(first).all()
    )
    assert all((first[i] != batch[i]).any() for i in range(len(batch)))


def test_strength_nothing_changes_nothing_and_more_changes_more(batch: torch.Tensor) -> None:
    assert torch.equal(augmented(batch, 0.0), batch)
    weak, strong = (
        float((Augmenter(strength)._speckled(batch, draws(len(batch))) - batch).abs().mean())
        for strength in (0.2, 1.0)
    )
    assert 0 < weak < strong


@pytest.mark.parametrize("step", ["_moved", "_resampled", "_toned", "_speckled", "_wedged"])
def test_every_augmentation_changes_something(batch: torch.Tensor, step: str) -> None:
    background = torch.quantile(batch.flatten(1), 0.1, dim=1).view(-1, 1, 1, 1)
    takes_background = step in ("_moved", "_toned", "_wedged")
    changed = getattr(Augmenter(1.0), step)(
        batch, *([background] if takes_background else []), draws(len(batch), 2)
    )
    by_scan = (changed - batch).abs().flatten(1).mean(1)
    assert torch.isfinite(changed).all()
    assert (by_scan > 1e-4).sum() >= 2
    if step in ("_resampled", "_wedged"):
        assert (by_scan == 0).any(), "only a part of the batch is touched"


def test_speckle_of_the_training_has_grains_between_a_pixel_and_a_128th_of_the_side() -> None:
    flat = torch.full((2, 1, 224, 224), 0.5)
    grains = []
    for seed in range(20):
        noise = Augmenter(1.0)._speckled(flat, draws(2, seed))
        rows = 1 + int((noise[0, 0, 1:] != noise[0, 0, :-1]).any(1).sum())
        columns = 1 + int((noise[0, 0, :, 1:] != noise[0, 0, :, :-1]).any(0).sum())
        assert rows == columns, "grains are square"
        grains.append(rows)
    assert 128 <= min(grains) < 150 and 200 < max(grains) <= 224
    small = Augmenter(1.0)._speckled(flat[:, :, :96, :96], draws(2))
    assert (small[0, 0, 1:] != small[0, 0, :-1]).float().mean() > 0.99, (
        "one pixel is the finest there is"
    )


def test_half_of_the_scans_are_flipped(batch: torch.Tensor) -> None:
    still = Augmenter(0.0)  # no rotation, shift or scale: what is left is the flip
    many = batch[:1].expand(200, -1, -1, -1)
    moved = still._moved(many, torch.zeros(200, 1, 1, 1), draws(200, 1))
    flipped = (moved - many.flip(-1)).abs().flatten(1).amax(1) < 1e-4
    kept = (moved - many).abs().flatten(1).amax(1) < 1e-4
    assert (flipped | kept).all() and 70 < int(flipped.sum()) < 130


def test_the_limit_takes_training_scans_only_and_phantoms_come_behind(tiny_pack: Pack) -> None:
    whole = training_data(QUICK, tiny_pack)
    np.testing.assert_array_equal(
        whole.read(np.arange(8)), tiny_pack.pixels[tiny_pack.rows("train")]
    )
    assert (
        len(training_data(replace(QUICK, limit=1000), tiny_pack).labels) == len(whole.labels) == 8
    )
    more = training_data(replace(QUICK, phantoms_per_class=1), tiny_pack)
    assert list(more.labels[8:]) == [0, 1, 2, 3]
    expected = Preprocessing(64).prepare(make_phantom("DME", PHANTOM_SEED).pixels)
    np.testing.assert_array_equal(more.read(np.array([0, 9]))[1], expected)


@pytest.mark.parametrize("label", CLASSES)
def test_a_view_off_the_fovea_is_a_part_of_the_phantom_that_shows_its_lesion(label: str) -> None:
    generator = np.random.default_rng(0)
    for seed in range(6):
        phantom = make_phantom(label, seed, 96, 128)
        assert view_off_fovea(phantom, 0.0, generator) is phantom.pixels
        marked = replace(phantom, pixels=np.tile(np.arange(128, dtype=np.uint8), (96, 1)))
        part = view_off_fovea(marked, 1.0, generator)
        assert 0.44 * 128 <= part.shape[1] <= 0.76 * 128 and part.shape[0] == 96
        columns = np.flatnonzero(phantom.lesion.any(0))
        if columns.size:
            assert part[0, 0] <= int(np.median(columns)) <= part[0, -1]


def test_the_temperature_is_fitted_on_clean_and_corrupted_validation_scans(
    tiny_pack: Pack, tmp_path: Path
) -> None:
    model = initial_model(QUICK, 4).eval()
    job = TrainingJob(QUICK, tiny_pack, tmp_path / "run", CPU)
    logits, labels = calibration_data(model, job)
    rows = tiny_pack.rows("val")
    pixels = np.array(tiny_pack.pixels[rows])
    parts = [pixels, *(corrupt(pixels, name, 2) for name in CORRUPTIONS)]
    assert len(labels) == len(parts) * len(rows)
    for index, part in enumerate(parts):
        place = slice(index * len(rows), (index + 1) * len(rows))
        np.testing.assert_allclose(logits[place], logits_of_pack(model, part, CPU), atol=1e-5)
        np.testing.assert_array_equal(labels[place], tiny_pack.labels[rows])


def test_the_recipes_are_the_settings_of_the_shipped_runs() -> None:
    for name in RECIPES:
        told = read_card(Path(__file__).parents[2] / "checkpoints" / name).raw["training"]
        own = recipe(name, initialisation=told["initialisation"], fill_missing=told["fill_missing"])
        assert own.to_dict() == told


def test_out_of_memory_names_the_batch_size_to_try(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "_train_step", full)
    with pytest.raises(TrainingError, match=r"out of memory at batch size 4; .*--batch-size 2"):
        train_run(TrainingJob(QUICK, tiny_pack, tmp_path / "run", CPU))


def test_the_estimate_is_said_once_after_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 60))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(now)))
    estimate = Estimate(epochs=2)
    said = [estimate.after_step(1, done, 10) for done in range(1, 10)]
    # The first step is left out, five are timed; 14 of 20 steps are left at 60 s for five.
    assert said == [None] * 5 + ["about 3 min to go"] + [None] * 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (12, "12 s"), (90, "2 min"), (3540, "59 min"), (5400, "1 h 30 min")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert readable(seconds) == text


def test_a_pickle_in_torchs_cache_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "it ran"),)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = get_model_weights("densenet121").DEFAULT.url.rsplit("/", 1)[-1]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(Payload(), tmp_path / "hub" / "checkpoints" / name)
    with pytest.raises(TrainingError, match="holds more than tensors"):
        initial_model(recipe("densenet121"), 4)
    assert not (tmp_path / "it ran").exists()


def test_large_batches_are_augmented_on_every_version() -> None:
    """torch.quantile refused more than 2**24 numbers until 2.13: 340 scans at 224 pixels."""
    out = augmented(torch.rand(340, 1, 224, 224), 0.5)
    assert out.shape == (340, 1, 224, 224) and bool(torch.isfinite(out).all())


def test_a_gpu_takes_larger_batches_of_many_scans_and_the_rates_follow() -> None:
    assert default_batch(9_999, "cuda") is None and default_batch(10**6, "cpu") is None
    assert default_batch(10_000, "cuda") == 128
    plain, large = recipe("vgg16"), recipe("vgg16", True, batch_size=128)
    assert large.batch_size == 128
    assert large.learning_rate == pytest.approx(plain.learning_rate * 8**0.5)
    assert large.weight_averaging == pytest.approx(plain.weight_averaging**8)
