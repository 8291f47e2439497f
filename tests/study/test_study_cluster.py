"""Batch systems: job scripts and refused jobs; and workers that are processes of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from study_values import TRAIN, small_study
from test_study_plan import plan_of

from hepfm.core.errors import ConfigError, HepfmError
from hepfm.data.store import Store
from hepfm.study import study as module
from hepfm.study.study import study
from hepfm.workflow.pool import most_needed
from hepfm.workflow.verbs.base import Needs

pytest.importorskip("dask_jobqueue", reason="batch systems need the extra cluster")
pytestmark = pytest.mark.enable_socket


@pytest.mark.parametrize("kind", ["slurm", "htcondor"])
def test_job_scripts_ask_for_what_runs_need(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    from hepfm.workflow.cluster import empty_cluster

    settings = {f"jobqueue.{kind}.memory": "7GB", f"jobqueue.{kind}.job-script-prologue": ["module load x"]}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with dask.config.set(settings):
        cluster = empty_cluster(kind, Needs(cores=3, gpus=1))
        try:
            script = cluster.job_script()
        finally:
            cluster.close()
    assert "--nthreads 3" in script
    assert "--resources cores=3,gpus=1" in script
    assert "export OMP_NUM_THREADS=1" in script
    assert script.index("module load x") < script.index("export OMP_NUM_THREADS=1")
    asked = {
        "slurm": ("--mem=7G", "--cpus-per-task=3", "#SBATCH --gpus=1"),
        "htcondor": ("DaskWorkerMemory = 7000000000", "DaskWorkerCores = 3", "request_gpus = 1"),
    }
    for line in asked[kind]:
        assert line in script, script


def test_a_recipe_on_a_gpu_needs_one() -> None:
    assert most_needed(plan_of(small_study("a", "b")).runs.values()) == Needs(1, 0)
    values = small_study("a", "b")
    values["pretrain"]["options"] = {"train": {**TRAIN, "device": "cuda"}}
    assert most_needed(plan_of(values).runs.values()) == Needs(1, 1)


def test_a_machine_without_the_batch_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from hepfm.workflow.cluster import batch_cluster

    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="command 'sbatch', which is not on the PATH"):
        batch_cluster("slurm", 1, Needs())


@pytest.mark.parametrize(("kind", "command"), [("slurm", "sbatch"), ("htcondor", "condor_submit")])
def test_a_refused_job_ends_with_its_message(
    kind: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hepfm.workflow.cluster import batch_cluster

    script = tmp_path / command
    script.write_text("#!/bin/sh\necho 'invalid account or queue' >&2\nexit 1\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(HepfmError, match=rf"(?s){command} refused a job.*invalid account or queue"):
        batch_cluster(kind, 2, Needs())


def test_workers_in_other_processes_give_what_this_one_gives(
    jet_store: Store, tops: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask
    from distributed import LocalCluster

    values = small_study(
        jet_store.path, tops.path, seeds={"replicates": [1]}, arms={"classification": "supervised"}
    )
    local = study(values, output=tmp_path / "local", processes=1)

    def workers(cores: int) -> LocalCluster:
        with dask.config.set({"distributed.worker.daemon": False}):
            return LocalCluster(
                n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", resources={"cores": 1}
            )

    monkeypatch.setattr("hepfm.workflow.dask_pool.local_cluster", workers)
    other = module.study(values, output=tmp_path / "workers", processes=1)
    assert local.complete
    assert other.complete
    models = [
        sorted(path.read_bytes() for path in folder.glob("runs/*/run/model/model.safetensors"))
        for folder in (other.path, local.path)
    ]
    assert len(models[0]) == 2
    assert models[0] == models[1]


def test_an_unknown_cluster_is_refused() -> None:
    from hepfm.workflow.cluster import batch_cluster

    with pytest.raises(ConfigError, match="did you mean 'slurm'"):
        batch_cluster("slurmm", 1, Needs())
