"""Every built-in recipe trains in smoke mode on a store of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from event_rows import PROCESSES, event_columns

from hepfm.core.config import builtin_recipes, load_recipe
from hepfm.data.label import label
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.check import check
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import pretrain
from hepfm.train.recipe import read_pretrain_recipe
from hepfm.train.run import read_metrics


def smaller(name: str) -> list[str]:
    """Fewer codes than the small store has constituents, and no hundred million weights in bfloat16."""
    if name.endswith("_tokenizer"):
        return ["objective.tokenizer.codes=64"]
    if name in SHALLOW:
        return SHALLOW[name]
    codes = ["objective.targets=[identity, {name: kmeans, codes: 64}]"] if "kmeans" in name else []
    return [*codes, *TINY_MPM] if name in MPM else codes


SHALLOW = {
    # In half precision, which processors without it emulate, its 57 million weights take minutes.
    "bumblebee": ["backbone.depth=1", "train.precision=float32"],
    "j_jepa": ["backbone.depth=1", "backbone.width=64", "objective.predictor.depth=1"],
    "hep_jepa": ["backbone.depth=1", "objective.predictor.depth=1"],
    "jetparticle_jepa": ["backbone.depth=1", "objective.predictor.depth=1"],
    "rino": ["backbone.depth=1"],
    "evenet": ["backbone.width=64", "backbone.depth=1", "backbone.local_depth=2"],
    **{f"jetclass_lgatr{kind}": ["backbone.depth=1"] for kind in ("", "_cpu", "_slim", "_slim_cpu")},
}
"""Networks that take a minute are tried with fewer layers."""

TINY_MPM = (
    "backbone.width=64",
    "backbone.depth=1",
    "objective.hide.decoder_width=64",
    "objective.hide.decoder_blocks=1",
    "train.precision=float32",
)


MPM = [
    name
    for name in builtin_recipes("pretrain")
    if name.startswith("mpm_") and not name.endswith(("_cpu", "_tokenizer"))
]


@pytest.mark.parametrize("name", MPM)
def test_the_backbone_of_masked_particle_modelling_has_the_published_size(name: str) -> None:
    config = read_pretrain_recipe(load_recipe(name, "pretrain")).backbone.config
    width = {"mpm_v1": 1024}.get(name, 512)
    assert (config.width, config.depth, config.num_heads) == (width, 8, 8)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def event_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Events of two processes with the truth."""
    path = tmp_path_factory.mktemp("events") / "store"
    shards = [("train", event_columns(200)), ("val", event_columns(60, seed=1))]
    return Store.open(write_store(path, event_schema(PROCESSES, truth=True), shards, provenance={}))


@pytest.fixture(scope="module")
def event_models(event_store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks of events after some steps of pre-training, by recipe."""
    folder, store = tmp_path_factory.mktemp("models"), [f"data.store={event_store.path}"]
    return {
        name: pretrain(name, output=folder / name, overrides=store, smoke=True).model_path
        for name in ("evenet_cpu", "bumblebee_cpu", "event_classifier_cpu")
    }


@pytest.fixture(scope="module")
def labelled_events(event_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same with labels of the truth."""
    folder = tmp_path_factory.mktemp("labelled")
    return Store.open(label(event_store.path, folder / "store", labels="event_truth"))


JOINT = "joint_cpu"
"""A recipe with domains."""


def test_joint_pretraining(jet_store: Store, shower_store: Store, event_store: Store, tmp_path: Path) -> None:
    stores = {"jets": jet_store, "events": event_store, "showers": shower_store, "taus": jet_store}
    overrides = [f"domains.{name}.data.store={store.path}" for name, store in stores.items()]
    result = pretrain(JOINT, output=tmp_path / "run", overrides=overrides, smoke=True)
    assert set(result.models) == set(stores)
    for model in result.models.values():
        assert max(check(model).values()) < 1e-5


@pytest.mark.parametrize("name", sorted(set(builtin_recipes("pretrain")) - {JOINT}))
def test_pretraining(
    name: str,
    jet_store: Store,
    shower_store: Store,
    grouped_store: Store,
    labelled_events: Store,
    event_store: Store,
    tmp_path: Path,
) -> None:
    stores = {"omnijet_alpha_c": shower_store, "rs3l": grouped_store, "event_": labelled_events}
    stores |= {"evenet": event_store, "bumblebee": event_store}
    store = next((store for prefix, store in stores.items() if name.startswith(prefix)), jet_store)
    store_at = [f"data.store={store.path}", "train.device=cpu"]
    overrides = [*store_at, *smaller(name)]
    if f"{name}_tokenizer" in builtin_recipes("pretrain"):
        model = pretrain(
            f"{name}_tokenizer",
            output=tmp_path / "tokenizer",
            overrides=[*store_at, *smaller(f"{name}_tokenizer")],
            smoke=True,
        ).model_path
        overrides.append(f"tokenizer.model={model}")
    result = pretrain(name, output=tmp_path / "run", overrides=overrides, smoke=True)
    assert read_metrics(result.path / "metrics.jsonl", "train")[-1]["step"] == 6
    assert max(check(result.model_path).values()) < 1e-5


OF_EVENTS = {
    **dict.fromkeys(
        (
            f"evenet_{name}"
            for name in ("stage2", "assignment", "classification", "neutrinos", "segmentation")
        ),
        "evenet_cpu",
    ),
    **dict.fromkeys(("ttbar_reconstruction", "initial_state", "event_classification"), "bumblebee_cpu"),
    "unseen_process": "event_classifier_cpu",
}
"""Recipes that fine-tune networks of events, and how these were pre-trained."""


@pytest.mark.parametrize("name", sorted(builtin_recipes("finetune")))
def test_finetuning(
    name: str,
    tiny_run: Path,
    jet_store: Store,
    event_store: Store,
    event_models: dict[str, Path],
    tmp_path: Path,
) -> None:
    events = name in OF_EVENTS
    store = event_store if events else jet_store
    model = event_models[OF_EVENTS[name]] if events else tiny_run / "model"
    overrides = [f"data.store={store.path}", "data.budget=60", "train.device=cpu"]
    overrides += ["train.accumulate=1"] if events else []
    result = finetune(model, name, output=tmp_path / "run", overrides=overrides, smoke=True)
    assert read_metrics(result.path / "metrics.jsonl", "validation")
    assert max(check(result.model_path).values()) < 1e-5
