"""Similarity of networks: the same one, rotated ones, others, untrained ones; layers, report, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from event_rows import PROCESSES, event_columns

from hepfm.api import compare, evaluate
from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.core.schema import Field, Kind, Level
from hepfm.data import feature_set
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import definition_of
from hepfm.models.directory import Model
from hepfm.models.layer_vectors import layer_vectors
from hepfm.models.scores import embed
from hepfm.models.untrained import untrained
from hepfm.networks.build import build_network, seeded_init
from hepfm.tasks.base import load_task
from hepfm.tasks.result_folder import read_result
from hepfm.testing.tasks import check_agreement

BACKBONE: dict[str, dict[str, Any]] = {
    "transformer": {"name": "transformer", "width": 16, "depth": 2, "num_heads": 4, "num_registers": 1},
    "particle_transformer": {"name": "particle_transformer", "size": "xs"},
    "event_graph": {"name": "event_graph", "width": 16, "steps": 3, "layers": 2},
    "evenet": {"name": "evenet", "size": "xs"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    schema = event_schema(PROCESSES, truth=True)
    path = tmp_path_factory.mktemp("events") / "store"
    return Store.open(write_store(path, schema, [("test", event_columns(300, seed=2))], provenance={}))


def model_of(store: Store, name: str = "transformer", *, seed: int = 0) -> Model:
    backbone = resolve_component(BACKBONES, BACKBONE[name], where="test")
    with seeded_init(seed, "test"):
        network = build_network(backbone, feature_set("event"))
    return Model(network.eval(), backbone, feature_set("event"), store.schema, max_constituents=20)


@pytest.fixture(scope="module")
def saved(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    models = {
        "first": model_of(store),
        "second": model_of(store, seed=1),
        "graph": model_of(store, "event_graph"),
    }
    for name, model in models.items():
        model.save(folder / name)
    return {name: folder / name for name in models}


def similarity(model: Path, other: Path, store: Store, folder: Path, **options: Any) -> Any:
    task = {"name": "similarity", "other": str(other), **options}
    return evaluate(model, task, store, output=folder, device="cpu").result


# -- layers

LAYERS = {
    "transformer": ["embedding", "blocks_1", "blocks_2", "norm", "summary"],
    "event_graph": ["embedding", "global_encoder", "blocks_1", "blocks_2", "blocks_3", "decoder", "summary"],
}


@pytest.mark.parametrize("name", list(BACKBONE))
def test_layers_stand_in_their_order_and_their_vectors_depend_on_no_batch(store: Store, name: str) -> None:
    model = model_of(store, name)
    found = layer_vectors(model, store)
    if name in LAYERS:
        assert list(found) == LAYERS[name]
    assert len([layer for layer in found if layer.startswith("blocks_")]) >= 2
    assert all(len(values) == 300 for values in found.values())
    np.testing.assert_allclose(found["summary"], embed(model, store), rtol=1e-4, atol=1e-5)
    some = layer_vectors(model, store, rows=[7, 3, 150])
    for layer, values in some.items():
        np.testing.assert_allclose(values, found[layer][[7, 3, 150]], rtol=1e-3, atol=1e-5, err_msg=layer)
    hooks = [module._forward_hooks for module in model.network.modules()]
    assert not any(hooks)


def test_vectors_of_constituents_are_means_of_the_real_ones(store: Store) -> None:
    model = model_of(store)
    batch = None

    def keep(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        nonlocal batch
        batch = output

    handle = model.network.backbone.embedding.register_forward_hook(keep)  # type: ignore[union-attr, operator]
    found = layer_vectors(model, store, rows=[5])
    handle.remove()
    assert batch is not None
    np.testing.assert_allclose(found["embedding"][0], batch[0].mean(0).numpy(), rtol=1e-5, atol=1e-6)


def test_an_untrained_network_keeps_inputs_and_forgets_weights(store: Store) -> None:
    model = model_of(store)
    model.network.standardize.centre_F.add_(1.0)
    new = untrained(model, seed=3)
    assert new.network.standardize.centre_F.equal(model.network.standardize.centre_F)
    first, again = (untrained(model, seed=3).network.state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    weight = "backbone.blocks.0.attention.qkv.weight"
    key = weight if weight in first else next(k for k in first if "blocks.0" in k and first[k].ndim == 2)
    assert not torch.equal(first[key], model.network.state_dict()[key])


# -- the task


def test_a_network_is_like_itself_and_less_like_others(
    store: Store, saved: dict[str, Path], tmp_path: Path
) -> None:
    same = similarity(saved["first"], saved["first"], store, tmp_path / "same")
    assert [info.name for info in same.metrics] == [
        *("cka", "cka_embedding", "cka_blocks_1", "cka_blocks_2", "cka_norm")
    ]
    for info in same.metrics:
        assert definition_of(info.definition) is not None
        assert info.value == info.low == info.high == pytest.approx(1.0)
    other = similarity(saved["first"], saved["second"], store, tmp_path / "other")
    assert other.metric("cka").value < 0.95
    assert other.metric("cka").low < other.metric("cka").value < other.metric("cka").high
    (random,) = same.baselines
    assert random.metric("cka").value < 0.95
    # Two random networks are as alike as a random one is to another.
    assert other.metric("cka").value == pytest.approx(random.metric("cka").value, abs=0.35)


def test_a_rotated_network_is_the_same(store: Store, saved: dict[str, Path], tmp_path: Path) -> None:
    """Summary vectors turned and scaled by the last affine layer: other numbers, the same geometry."""
    turned = Model.load(saved["graph"])
    decoder = turned.network.backbone.decoder.norm  # type: ignore[union-attr]
    with torch.no_grad():
        decoder.weight.mul_(-2.0)  # type: ignore[union-attr, operator]
        decoder.bias.add_(3.0)  # type: ignore[union-attr, operator]
    turned.save(tmp_path / "turned")
    result = similarity(saved["graph"], tmp_path / "turned", store, tmp_path / "result")
    assert result.metric("cka").value == pytest.approx(1.0, abs=1e-4)


def test_networks_of_other_architectures_are_compared_by_their_summary(
    store: Store, saved: dict[str, Path], tmp_path: Path
) -> None:
    result = similarity(saved["first"], saved["graph"], store, tmp_path / "result")
    assert result.metrics[0].name == "cka"
    with pa.memory_map(str(tmp_path / "result" / "similarity.arrow")) as file:
        pairs = pa.ipc.open_file(file).read_all().to_pylist()
    layers, others = ({pair[key] for pair in pairs} for key in ("layer", "other_layer"))
    assert len(pairs) == len(layers) * len(others)
    assert "decoder" in others - layers
    whole = next(pair for pair in pairs if pair["layer"] == pair["other_layer"] == "summary")
    assert whole["cka"] == pytest.approx(result.metric("cka").value)
    assert whole["untrained"] == pytest.approx(result.baselines[0].metric("cka").value)


def test_the_result_reads_back_and_is_drawn(store: Store, saved: dict[str, Path], tmp_path: Path) -> None:
    result = similarity(saved["first"], saved["second"], store, tmp_path / "result")
    assert read_result(tmp_path / "result") == result
    check_agreement(load_task(result.task.spec), result)
    assert similarity(saved["first"], saved["second"], store, tmp_path / "again").metrics == result.metrics
    report = compare([tmp_path / "result"], output=tmp_path / "report")
    assert "Layer by layer" in report.report.read_text()
    (table,) = [path for path in report.tables if "layers" in path.name]
    lines = table.read_text().splitlines()
    assert lines[0] == "layer,other_layer,cka,low,high,untrained"
    assert len(lines) == 1 + 5 * 5


def test_one_row_of_a_group_is_taken(saved: dict[str, Path], tmp_path: Path) -> None:
    group = Field("event_group", Level.EVENT, Kind.COUNT, dtype="int64", description="copies")
    schema = replace(event_schema(PROCESSES, truth=True, extra=(group,)), group="event_group")
    columns: dict[str, Any] = {**event_columns(300, seed=2), "event_group": np.arange(300) // 3}
    grouped = Store.open(write_store(tmp_path / "store", schema, [("test", columns)], provenance={}))
    assert similarity(saved["first"], saved["first"], grouped, tmp_path / "result").data.rows == 100


def test_what_cannot_be_compared_is_refused(store: Store, saved: dict[str, Path], tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    with pytest.raises(ConfigError, match=r"say which model is compared with: other=MODEL \(--other MODEL\)"):
        evaluate(saved["first"], "similarity", store, output=refused, device="cpu")
    with pytest.raises(ModelError, match="is not a model directory"):
        similarity(saved["first"], tmp_path / "nothing", store, refused)
    with pytest.raises(ModelError, match="another model than the task was bound to"):
        similarity(saved["first"], saved["second"], store, refused, fingerprint="0" * 16)
    with pytest.raises(ModelError, match="has no layers; give a model directory"):
        similarity(store.path, saved["second"], store, refused)
    few = write_store(
        tmp_path / "few", event_schema(PROCESSES, truth=True), [("test", event_columns(60))], provenance={}
    )
    with pytest.raises(DataError, match="has 60 independent test rows; the task 'similarity' needs 80"):
        similarity(saved["first"], saved["second"], Store.open(few), refused)
    broken = Model.load(saved["second"])
    with torch.no_grad():
        next(broken.network.backbone.parameters()).fill_(torch.nan)
    broken.save(tmp_path / "broken")
    with pytest.raises(ModelError, match=r"vectors of the layer .* that are NaN or infinite"):
        similarity(saved["first"], tmp_path / "broken", store, refused)
    assert not refused.exists()
