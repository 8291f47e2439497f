"""Speed of what leaves a model: ONNX and TorchScript files beside torch, `hepfm predict`, and ROOT to stores.

- **Files**: batches of 128 synthetic jets of similar length, with ONNX Runtime, TorchScript and torch in turn
  on the same threads. Networks are untrained: speed does not depend on their parameters.
- **Predictions**: the network alone on batches that are in memory already, `hepfm predict` from a store to a
  Parquet file (rows are read, scored, ordered and written), and `Model.predict` of a table, in turn.
- **Ingest**: JetClass's own ROOT schema to a store, in a process of its own, for two numbers of jets; the
  peak of its memory shows whether that grows with the file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import frame
import torch
from synthetic import FULL, synthetic_store

from hepfm import api
from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.data import feature_set
from hepfm.data.exporters.export import export_store
from hepfm.data.loader import EvalLoader
from hepfm.data.store import Store
from hepfm.data.table import Table
from hepfm.generators.parallel import for_each
from hepfm.heads import HEADS
from hepfm.models.directory import Model
from hepfm.models.export import FORMATS, export
from hepfm.models.graphs.heads import Heads
from hepfm.models.graphs.rows import inputs_of
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import HeadSpec

BACKBONE_SPECS = {
    "particle_transformer s": {"name": "particle_transformer", "size": "s"},
    "transformer xs": {"name": "transformer", "size": "xs"},
}
TOY_SPECS = {"transformer toy": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}}
FEATURES = feature_set("full")
BATCH = 128


@dataclass(frozen=True)
class Sizes:
    """Numbers of jets: of the batches of the files, of predictions, and of the files that are ingested."""

    batches: int
    predicted: int
    ingested: tuple[int, int]


SIZES, TOY = Sizes(8 * BATCH, 16 * BATCH, (200_000, 800_000)), Sizes(8, 8, (20, 40))


def save_model(spec: dict[str, Any], path: Path) -> Model:
    """Write an untrained tagger of JetClass's features, and return it as it is read again."""
    backbone = resolve_component(BACKBONES, spec, where="benchmark")
    head = HeadSpec(resolve_component(HEADS, "classify", where="benchmark"), FULL["jet_label"])
    with seeded_init(0, "benchmark"):
        network = build_network(backbone, FEATURES, heads=[head])
    Model(network, backbone, FEATURES, FULL, max_constituents=128).save(path)
    return Model.load(path)


def batches_of(model: Model, store: Store) -> list[Batch]:
    """Return the batches that `hepfm predict` makes of a store."""
    return list(EvalLoader(store, model.content(store), rows=store.index(None), batch_size=BATCH))


def files(folder: Path, specs: dict[str, dict[str, Any]], store: Store, repeats: int) -> dict[str, Any]:
    """Return jets a second of torch, ONNX Runtime and TorchScript for each backbone."""
    figures = {}
    for number, (name, spec) in enumerate(specs.items()):
        model = save_model(spec, folder / f"model-{number}")
        graph = Heads(model).eval()
        given = [inputs_of(model, batch) for batch in batches_of(model, store)]
        sessions = {}
        for kind, ending in (("onnx", "onnx"), ("torchscript", "pt")):
            file = folder / f"model-{number}.{ending}"
            export(folder / f"model-{number}", output=file)
            sessions[kind] = FORMATS[kind].module.Session(file, threads=torch.get_num_threads())

        def by_torch(graph: Heads = graph, given: list[dict[str, torch.Tensor]] = given) -> None:
            with torch.no_grad():
                for inputs in given:
                    graph(inputs)

        def by_file(kind: str, sessions: dict[str, Any] = sessions, given: Any = given) -> None:
            for inputs in given:
                sessions[kind].run(inputs)

        samples = frame.take_turns(
            {
                "onnx": lambda _: frame.timed(lambda: by_file("onnx")),
                "torchscript": lambda _: frame.timed(lambda: by_file("torchscript")),
                "torch": lambda _: frame.timed(by_torch),
            },
            repeats=repeats,
            warmup=2,
        )
        figures[name] = rates(samples, store.num_rows)
    return figures


def predictions(folder: Path, specs: dict[str, dict[str, Any]], store: Store, repeats: int) -> dict[str, Any]:
    """Return jets a second of the network alone, of `hepfm predict`, and of `Model.predict`."""
    figures = {}
    for number, name in enumerate(specs):
        path = folder / f"model-{number}"
        model = Model.load(path)
        batches = batches_of(model, store)
        columns = store.read(store.schema.names(), store.index(None))
        table = Table.from_dict(columns, store.schema)

        def alone(model: Model = model, batches: list[Batch] = batches) -> None:
            for_each(model.network, batches, device=torch.device("cpu"))

        def from_store(path: Path = path) -> None:
            api.predict(path, store.path, output=folder / "scores.parquet", device="cpu", overwrite=True)

        def in_memory(model: Model = model, table: Table = table) -> None:
            model.predict(table, device="cpu")

        samples = frame.take_turns(
            {
                "predict from a store": lambda _: frame.timed(from_store),
                "Model.predict of a table": lambda _: frame.timed(in_memory),
                "network alone": lambda _: frame.timed(alone),
            },
            repeats=repeats,
            warmup=1,
        )
        figures[name] = rates(samples, store.num_rows)
    return figures


def rates(samples: dict[str, list[frame.Timing]], jets: int) -> dict[str, Any]:
    """Return jets a second of each case, and its ratio to the last of them by turn."""
    *_, last = samples
    base = samples[last]
    return {
        case: {
            "jets_per_second": frame.spread([jets / timing.wall for timing in timings]),
            "jets_per_processor_second": frame.spread([jets / timing.cpu for timing in timings]),
            f"over_{last.replace(' ', '_')}": frame.spread(
                [one.wall / other.wall for one, other in zip(base, timings, strict=True)], digits=3
            ),
        }
        for case, timings in samples.items()
    }


def ingest(folder: Path, jets: int) -> dict[str, Any]:
    """Return seconds and peak memory of a ROOT file to a store, in a process of its own."""
    file = folder / f"jets-{jets}.root"
    export_store(synthetic_store(folder / f"store-{jets}", jets, full=True), file)
    done = subprocess.run(
        [sys.executable, __file__, "--ingest", str(file), str(folder / f"ingested-{jets}")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    return {
        "jets": jets,
        "file_mb": file.stat().st_size / 1e6,
        "jets_per_second": jets / figures["seconds"],
        "jets_per_processor_second": jets / figures["processor_seconds"],
        "peak_mb": figures["peak_mb"],
    }


def ingest_here(file: Path, output: Path) -> dict[str, float]:
    """Ingest a file in this process."""
    timing = frame.timed(lambda: api.ingest("jetclass", [file], output=output))
    return {"seconds": timing.wall, "processor_seconds": timing.cpu, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Return the largest resident memory of this program in MB (Linux).

    The one that `getrusage` tells is at least that of the process which started this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1.024e-3 for line in lines if line.startswith("VmHWM"))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of files, predictions and ingest."""
    specs, sizes = (TOY_SPECS, TOY) if options.toy else (BACKBONE_SPECS, SIZES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = synthetic_store(folder / "jets", sizes.batches, full=True)
        wide = synthetic_store(folder / "more", sizes.predicted, full=True)
        of_files = files(folder, specs, store, options.repeats)
        of_predictions = predictions(folder, specs, wide, options.repeats)
        ingested = [ingest(folder, jets) for jets in sizes.ingested]
    return {
        "what": f"synthetic jets of mean 39 constituents, all of JetClass's features, batches of {BATCH}",
        "files": of_files,
        "predictions": of_predictions,
        "ingest": ingested,
        "peak_ratio_largest_to_smallest": ingested[-1]["peak_mb"] / ingested[0]["peak_mb"],
        "peer": None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark, or ingest one file."""
    if arguments is None and sys.argv[1:2] == ["--ingest"]:
        print(json.dumps(ingest_here(Path(sys.argv[2]), Path(sys.argv[3]))))
        return
    frame.main(__doc__, "export", measure, arguments=arguments)


if __name__ == "__main__":
    main()
