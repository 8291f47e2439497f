"""Training of a tokenizer, with the report of what it loses."""

from __future__ import annotations

from hepfm.core.errors import ConfigError
from hepfm.workflow.folder import Workspace
from hepfm.workflow.graph import RunGraph
from hepfm.workflow.run import Run, Values
from hepfm.workflow.verbs.base import recipe_of
from hepfm.workflow.verbs.pretrain import Pretrain


class Tokenize(Pretrain):
    """Train a tokenizer and measure its reconstruction."""

    verb = "tokenize"

    def check(self, graph: RunGraph, run: Run) -> None:
        """Refuse what `Pretrain` refuses, and an objective that trains no tokenizer."""
        super().check(graph, run)
        if self.requirements(graph, run).tokenizer is None:
            name = self.recipe(run).objective.name
            raise ConfigError(f"the objective {name!r} trains no tokenizer; use tokenize")

    def run(self, workspace: Workspace, run: Run, *, cores: int) -> Values:
        """Train, then tokenize the validation rows (test rows where there are none)."""
        from hepfm.inference.tokenize import tokenize_store

        folder, data = workspace.run(run.name), recipe_of(workspace, run)["data"]
        facts = super().run(workspace, run, cores=cores)
        folder.clear(folder.tokens)
        split = data["validation"] or "test"
        report = tokenize_store(folder.model, data["store"], output=folder.tokens, split=split)
        return {**facts, "code_use": report["code_use"], "perplexity": report["perplexity"]}
