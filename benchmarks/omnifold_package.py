"""Unfolding by package omnifold; run by bench_omnifold.py with that package installed.

Usage: ``python omnifold_package.py --work THREADS``. A request in JSON starts an unfolding and is answered
when its first iteration is done; every further line is answered after one more iteration.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
import time
from typing import Any

# ruff: noqa: E402  # the package prints already when it is imported: only replies are to be in the output
replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import keras
import numpy as np
import omnifold
import tensorflow as tf
from omnifold import net
from omnifold import omnifold as module

THREADS = int(sys.argv[2])
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(THREADS)
# Release 0.1.36 cannot compile its models again under Keras 3, which asks for this; its repository has it.
registered = keras.saving.register_keras_serializable("omnifold")
module.weighted_binary_crossentropy = registered(net.weighted_binary_crossentropy)


class Observed(omnifold.MultiFold):  # type: ignore[misc]  # known in the package's own environment alone
    """The package's unfolding, which tells of each iteration and waits before the next."""

    def Unfold(self) -> None:  # the package's name
        """Unfold as the package does."""
        self.began = time.perf_counter(), time.process_time()
        super().Unfold()

    def RunStep2(self, number: int) -> None:  # the package's name
        """Finish an iteration."""
        super().RunStep2(number)
        wall, cpu = self.began
        done: dict[str, Any] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        if number + 1 == self.niter:
            np.save(self.push_file, self.weights_push)
        else:
            answer(done)
            sys.stdin.readline()
            done = {}
        self.began = time.perf_counter(), time.process_time()
        self.last = done


def answer(reply: dict[str, Any]) -> None:
    """Write one reply."""
    print(json.dumps(reply), file=replies, flush=True)


def unfold(request: dict[str, Any], folder: str) -> None:
    """Unfold the events of a request."""
    events = np.load(request["events"])
    keras.utils.set_random_seed(request["seed"])
    data = omnifold.DataLoader(reco=events["data"], normalize=True)
    simulation = omnifold.DataLoader(
        reco=events["detector"],
        pass_reco=events["detected"],
        gen=events["particle"],
        pass_gen=events["generated"],
        normalize=True,
    )
    features = events["data"].shape[1]
    run = Observed(
        "benchmark",
        omnifold.MLP(features),
        omnifold.MLP(features),
        data,
        simulation,
        weights_folder=folder,
        log_folder=folder,
        niter=request["iterations"],
        batch_size=request["batch_size"],
        epochs=request["epochs"],
        early_stop=request["epochs"],
        lr=request["learning_rate"],
    )
    run.push_file = request["push"]
    run.Unfold()
    answer(run.last)


def main() -> None:
    """Answer requests: for versions, and for unfoldings."""
    for line in sys.stdin:
        request = json.loads(line)
        if "versions" in request:
            known = {one.__name__: one.__version__ for one in (tf, keras, np)}
            answer({"omnifold": importlib.metadata.version("omnifold"), **known})
            continue
        with tempfile.TemporaryDirectory() as folder:
            unfold(request, folder)


if __name__ == "__main__":
    main()
