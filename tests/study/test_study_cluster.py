"""Dask: the same runs on a cluster of this machine, and the job scripts of batch systems."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_values import small_study

from hepfm.core.errors import ConfigError
from hepfm.data.store import Store
from hepfm.study.study import study

pytest.importorskip("dask_jobqueue", reason="clusters need the extra cluster")


@pytest.mark.enable_socket
@pytest.mark.parametrize("kind", ["slurm", "htcondor"])
def test_job_scripts_ask_for_one_core_and_set_one_thread(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    from hepfm.study.cluster import batch_cluster

    wanted = {f"jobqueue.{kind}.memory": "7GB", f"jobqueue.{kind}.job-script-prologue": ["module load x"]}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with dask.config.set(wanted):
        cluster = batch_cluster(kind)
        try:
            script = cluster.job_script()
        finally:
            cluster.close()
    assert "--nthreads 1" in script
    assert "export OMP_NUM_THREADS=1" in script
    assert script.index("module load x") < script.index("export OMP_NUM_THREADS=1")
    assert ("--mem=7G" in script) if kind == "slurm" else ("DaskWorkerMemory = 7000000000" in script)
    assert ("--cpus-per-task=1" in script) if kind == "slurm" else ("DaskWorkerCores = 1" in script)


@pytest.mark.enable_socket
def test_a_study_on_workers_gives_what_local_processes_give(
    jet_store: Store, tops: Store, tmp_path: Path
) -> None:
    values = small_study(
        jet_store.path, tops.path, seeds={"replicates": [1]}, arms={"classification": "supervised"}
    )
    done = study(values, output=tmp_path / "dask", processes=1, cluster="local")
    assert done.complete
    assert done.report is not None
    local = study(values, output=tmp_path / "local", processes=1)
    models = [
        sorted(path.read_bytes() for path in folder.glob("runs/*/run/model/model.safetensors"))
        for folder in (done.path, local.path)
    ]
    assert len(models[0]) == 2
    assert models[0] == models[1]


def test_an_unknown_cluster_is_refused() -> None:
    from hepfm.study.cluster import make_cluster

    with pytest.raises(ConfigError, match="did you mean 'slurm'"):
        make_cluster("slurmm", 1)
