"""Generated over real: figures from result directories and from stores alone."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import DEFINITIONS, definition_of
from hepfm.metrics.generation.spectra import even_edges
from hepfm.report.compare import compare
from hepfm.report.generated_part import store_spectra
from hepfm.tasks.base import load_task
from hepfm.tasks.result import CodeInfo, DataInfo, ModelInfo, ResultFile, TaskInfo, Training
from hepfm.tasks.result_folder import read_result, write_result
from hepfm.tasks.samples import draw_samples
from hepfm.tasks.spectra import SPECTRA, overlays, read_spectra, spectra_table

NAMES = ("energy_ratio", "num_hits", "longitudinal", "radial")


@pytest.fixture(scope="module")
def showers(tmp_path_factory, shower_store: Store) -> dict[str, Store]:
    """Real showers, and two generated samples of other sizes: as they are, and with half the energy."""
    rows = np.asarray(shower_store.split("train"))
    fields = shower_schema().names()
    found = {"real": shower_store}
    for name, number, factor in (("good", 60, 1.0), ("dim", 55, 0.5)):
        columns = dict(shower_store.read(fields, rows[:number]))
        columns["hit_energy"] = columns["hit_energy"].with_values(
            columns["hit_energy"].values * np.float32(factor)
        )
        path = tmp_path_factory.mktemp("made") / name
        write_store(path, shower_schema(), [("test", columns)], provenance={"source": "generated"})
        found[name] = Store.open(path)
    return found


def read_csv(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_stores_alone_are_drawn_over_each_other(showers, tmp_path):
    paths = [store.path for store in showers.values()]
    found = compare([], output=tmp_path / "report", stores=paths)
    page = found.report.read_text()
    assert page.count("<figure ") == len(NAMES)
    assert "Generated over real: showers" in page
    rows = read_csv(tmp_path / "report" / "csv" / "stores-spectra-energy_ratio.csv")
    assert {row["sample"] for row in rows} == {"real", "other real rows", "noise", "good", "dim"}
    values = {name: [row for row in rows if row["sample"] == name] for name in ("real", "good", "dim")}
    mean = {
        name: sum(float(row["value"]) * (float(row["low"]) + float(row["high"])) / 2 for row in some)
        for name, some in values.items()
    }
    assert abs(mean["good"] - mean["real"]) < 0.1 < mean["real"] - mean["dim"]
    for some in values.values():
        assert sum(float(row["value"]) for row in some) == pytest.approx(1)


def test_two_real_stores_are_refused_and_one_kind_alone_draws_nothing(showers):
    assert store_spectra([showers["real"]], anchor="x") == []
    assert store_spectra([showers["good"], showers["dim"]], anchor="x") == []
    with pytest.raises(DataError, match="are several"):
        store_spectra([showers["real"], showers["real"], showers["good"]], anchor="x")


@pytest.fixture(scope="module")
def results(showers, tmp_path_factory):
    """Two results with spectra and a made-up metric."""
    task = load_task("shower_generation")
    folders = []
    first = draw_samples(task, showers["real"], showers["good"])
    for name in ("good", "dim"):
        samples = draw_samples(task, showers["real"], showers[name])
        folder = tmp_path_factory.mktemp("results") / name
        metric = {"name": "fpd", "title": "FPD", "scale": "difference", "value": 1.0, "low": 0.9, "high": 1.1}
        metric |= {"n": 50, "definition": "fpd.showers.v1", "interval": "fit uncertainty", "better": "lower"}
        file = ResultFile(
            task=TaskInfo(name=task.name, version=task.version, title=task.title, classes=()),
            model=ModelInfo(fingerprint=name, path=name),
            training=Training(arm=name, seed=0),
            data=DataInfo(fingerprint="a", split="test", rows=50, rows_per_class={}),
            metrics=(metric,),
            code=CodeInfo(hepfm="0", commit=None),
        )
        drawn = overlays(task, samples, binned_by=first)
        write_result(folder, file, {SPECTRA: spectra_table(drawn)})
        folders.append(folder)
    return folders


def test_results_are_drawn_without_their_stores_and_defined(results, tmp_path):
    report = compare(results, output=tmp_path / "report")
    page = report.report.read_text()
    for name in NAMES:
        assert f'<figure id="task1-spectra-{name}"' in page
    assert DEFINITIONS["fpd.showers.v1"].text in page
    assert DEFINITIONS["auc.binary.v1"].text not in page
    rows = read_csv(tmp_path / "report" / "csv" / "task1-spectra-num_hits.csv")
    assert {row["sample"] for row in rows} == {"real", "other real rows", "noise", "good", "dim"}


def test_arms_with_other_bins_are_refused(results, tmp_path):
    first, second = results
    changed = tmp_path / "changed"
    moved = [replace(one, axis=replace(one.axis, edges=one.axis.edges + 1)) for one in read_spectra(second)]
    write_result(changed, read_result(second), {SPECTRA: spectra_table(moved)})
    with pytest.raises(DataError, match="the spectra of 'good' have other bins"):
        compare([first, changed], output=tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_spectra_survive_the_file(showers, results, tmp_path):
    task = load_task("shower_generation")
    drawn = overlays(task, draw_samples(task, showers["real"], showers["good"]))
    write_result(tmp_path / "copy", read_result(results[0]), {SPECTRA: spectra_table(drawn)})
    for before, after in zip(drawn, read_spectra(tmp_path / "copy"), strict=True):
        np.testing.assert_array_equal(before.axis.edges, after.axis.edges)
        assert (before.axis.name, before.axis.label, before.group) == (after.axis.name, after.axis.label, "")
        for name, sample in before.samples.items():
            np.testing.assert_array_equal(sample.value, after.samples[name].value)
            np.testing.assert_array_equal(sample.error, after.samples[name].error)
            assert sample.rows == after.samples[name].rows
    (tmp_path / "spectra.arrow").write_bytes(b"no")
    with pytest.raises(DataError, match=r"cannot read .*as spectra: .*; run hepfm evaluate again"):
        read_spectra(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_edges_hold_all_but_a_few_values_and_are_round(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(rng.uniform(-5, 5), 10 ** rng.uniform(-3, 3), 1000)
    edges = even_edges(values)
    assert ((values >= edges[0]) & (values <= edges[-1])).mean() >= 0.997
    assert 8 <= len(edges) - 1 <= 45
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0])
    counts = even_edges(rng.poisson(30, 500).astype(float), whole=True)
    np.testing.assert_allclose(counts % 1, 0.5)
    constant = even_edges(np.full(50, 30.0), whole=True)
    assert constant[0] < 30 < constant[-1]


def test_identifiers_find_their_definition():
    assert definition_of("kl.quantile_bins.v2.tau21").title == "KL of an observable"
    assert definition_of("coverage.emd_r1.50x4.v1").title == "coverage"
    assert definition_of("classifier_auc.hgb.showers.v1").title == "AUC of a classifier of showers"
    assert definition_of("w1.v10.mass") is None
