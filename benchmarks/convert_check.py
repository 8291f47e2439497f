"""A converted model against weaver-core itself, from the file of jets to the outputs.

Needs hepfm and weaver-core (``pip install weaver-core``) in one environment, the three files of a network
trained with weaver, and jets in JetClass's layout (Parquet)::

    python benchmarks/convert_check.py CHECKPOINT --data CONFIG.yaml --network NETWORK.py --jets JETS.parquet

weaver's own preprocessing and network run on the jets, the network file included: use files that you trust.
Printed is the largest difference of an output before the softmax.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
from weaver.utils.data.config import DataConfig
from weaver.utils.data.preprocess import _build_new_variables
from weaver.utils.dataset import _finalize_inputs

from hepfm.data.ingest import ingest
from hepfm.data.loader import EvalLoader
from hepfm.data.store import Store
from hepfm.models.convert import convert
from hepfm.models.fixture import forward


def weaver_outputs(options: argparse.Namespace) -> np.ndarray:
    """Return the outputs of weaver's network for the jets, preprocessed by weaver."""
    config = DataConfig.load(str(options.data), load_observers=False, load_reweight_info=False)
    spec = importlib.util.spec_from_file_location("network", options.network)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = dict(text.split("=", 1) for text in options.option)
    network, _ = module.get_model(config, **{name: ast.literal_eval(text) for name, text in given.items()})
    network.load_state_dict(torch.load(options.checkpoint, map_location="cpu", weights_only=True))
    inputs = weaver_inputs(config, ak.from_parquet(options.jets))
    with torch.inference_mode():
        arguments = [torch.from_numpy(inputs[f"_{name}"]) for name in config.input_names]
        arguments[-1] = arguments[-1].bool()
        outputs: np.ndarray = network.eval()(*arguments).numpy()
    return outputs


def weaver_inputs(config: DataConfig, jets: Any) -> dict[str, np.ndarray]:
    """Return weaver's inputs of all jets; labels and selections are left out."""
    config.label_names = ()
    wanted = {name for names in config.input_dicts.values() for name in names}
    functions: dict[str, str] = {}
    while new := {name for name in wanted if name in config.var_funcs and name not in functions}:
        functions |= {name: config.var_funcs[name] for name in new}
        wanted = {
            node.id
            for name in new
            for node in ast.walk(ast.parse(functions[name]))
            if isinstance(node, ast.Name)
        }
    ordered = {name: text for name, text in config.var_funcs.items() if name in functions}
    made: dict[str, np.ndarray] = _finalize_inputs(_build_new_variables(jets, ordered), config)
    return made


def our_outputs(options: argparse.Namespace) -> np.ndarray:
    """Return the outputs of the converted model for the jets, read by our reader."""
    with tempfile.TemporaryDirectory() as folder:
        model = convert(
            "weaver",
            checkpoint=options.checkpoint,
            output=Path(folder) / "model",
            data=options.data,
            network=options.network,
        )
        store = Store.open(ingest("jetclass", [options.jets], output=Path(folder) / "jets"))
        found = np.empty((len(store), sum(head.num_outputs for head in model.outputs.values())))
        for batch in EvalLoader(store, model.content(store), rows=None, batch_size=64):
            with torch.inference_mode():
                outputs = forward(model.network, batch)
            found[batch.rows_B.numpy()] = np.concatenate([outputs[name] for name in model.outputs], axis=1)
    return found


def main() -> None:
    """Read the options, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    for name in ("data", "network", "jets"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--option", action="append", default=[], help="option of get_model, name=value")
    options = parser.parse_args()
    theirs, ours = weaver_outputs(options), our_outputs(options)
    worst = np.abs(theirs - ours).max()
    print(
        f"{options.checkpoint.name}: {len(ours)} jets, outputs up to {np.abs(theirs).max():.3g}, largest "
        f"difference {worst:.2g}"
    )


if __name__ == "__main__":
    main()
