"""The verbs of the command line as Python functions, imported when first used.

Examples
--------
>>> from hepfm import api
>>> sorted(name for name in dir(api) if name == "pretrain")
['pretrain']
"""

from __future__ import annotations

import importlib
from typing import Any

_VERBS = {
    "simulate": "hepfm.simulate.run:simulate",
    "ingest": "hepfm.data.ingest:ingest",
    "get": "hepfm.data.public.get:get",
    "export_store": "hepfm.data.exporters.export:export_store",
    "split_store": "hepfm.data.split_store:split_store",
    "plot_fields": "hepfm.report.figures.fields:plot_fields",
    "mix": "hepfm.data.mixtures:mix",
    "label": "hepfm.data.label:label",
    "label_budget": "hepfm.data.subsets:label_budget",
    "tokenize": "hepfm.train.tokenize:tokenize",
    "decode_codes": "hepfm.inference.codes_file:decode_codes",
    "pretrain": "hepfm.train.pretrain:pretrain",
    "resume": "hepfm.train.resume:resume",
    "finetune": "hepfm.train.finetune:finetune",
    "generate": "hepfm.inference.generate:generate",
    "predict": "hepfm.inference.predict:predict",
    "check": "hepfm.models.check:check",
    "export": "hepfm.models.export:export",
    "push": "hepfm.models.hub.push:push",
    "pull": "hepfm.models.hub.pull:pull",
    "convert": "hepfm.models.convert:convert",
    "evaluate": "hepfm.tasks.evaluate:evaluate",
    "compare": "hepfm.report.compare:compare",
    "study": "hepfm.study.study:study",
    "anomaly": "hepfm.analyses.anomaly:anomaly",
    "reweight": "hepfm.analyses.reweight:reweight",
    "unfold": "hepfm.analyses.unfold:unfold",
    "demo": "hepfm.study.demo:demo",
    "Store": "hepfm.data.store:Store",
    "Model": "hepfm.models.directory:Model",
}

__all__ = list(_VERBS)


def __getattr__(name: str) -> Any:
    if name not in _VERBS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _VERBS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(_VERBS)
