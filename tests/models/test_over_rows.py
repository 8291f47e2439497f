"""A function of batches over rows: results in the order asked for, however batches are cut and worked on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.ragged import Columns, lists
from hepfm.data import feature_set
from hepfm.data.store import Store
from hepfm.models.directory import Model
from hepfm.models.over_rows import of_constituents, over_rows
from hepfm.networks.build import build_network


@pytest.fixture
def model(jet_store: Store) -> Model:
    backbone = resolve_component(BACKBONES, "none", where="test")
    network = build_network(backbone, feature_set("kin"))
    return Model(network, backbone, feature_set("kin"), jet_store.schema)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def row_and_log_pt(batch: Batch) -> Columns:
    """Return the row's number and the logarithm of pt of its constituents."""
    assert not torch.is_grad_enabled()
    return {
        "number": batch.rows_B.numpy(),
        "log_pt": of_constituents(batch.features_BNF[..., 0], batch.mask_BN),
    }


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_results_stand_in_the_order_asked_for(jet_store: Store, model: Model, batch_size: int) -> None:
    rows = np.random.default_rng(0).integers(0, len(jet_store), 60)  # with repetitions, not sorted
    columns = over_rows(row_and_log_pt, model, jet_store, rows=rows, batch_size=batch_size)
    assert np.asarray(columns["number"]).tolist() == rows.tolist()
    expected = lists(jet_store.read(["part_pt"], rows), "part_pt")
    log_pt = lists(columns, "log_pt")
    assert log_pt.lengths.tolist() == np.minimum(expected.lengths, 128).tolist()
    for place in range(len(rows)):
        np.testing.assert_allclose(log_pt.row(place), np.log(expected.row(place))[:128], rtol=1e-5)


def test_no_rows_have_the_shapes_of_some(jet_store: Store, model: Model) -> None:
    columns = over_rows(row_and_log_pt, model, jet_store, rows=[])
    assert np.asarray(columns["number"]).shape == (0,)
    assert len(lists(columns, "log_pt")) == 0
    assert lists(columns, "log_pt").values.dtype == np.float32
