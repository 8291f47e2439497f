"""Entry point of ``hepfm``: a table of verbs, each imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

import hepfm

VERBS = {
    "demo": ("hepfm.cli.demo", "The whole way on simulated jets in minutes, ending in report.html."),
    "simulate": ("hepfm.cli.simulate", "Generate collisions with Pythia 8 and write a store of jets."),
    "ingest": ("hepfm.cli.ingest", "Read published or private files into a store."),
    "data": ("hepfm.cli.data", "Look at, check and export stores."),
    "tokenize": ("hepfm.cli.tokenize", "Train a tokenizer, or use one, and report what it loses."),
    "pretrain": ("hepfm.cli.pretrain", "Train a model from a recipe."),
    "resume": ("hepfm.cli.resume", "Go on with a run that was stopped."),
    "finetune": ("hepfm.cli.finetune", "Adapt a model to a task from labelled jets."),
    "generate": ("hepfm.cli.generate", "Make new jets with a model that has learned to."),
    "predict": ("hepfm.cli.predict", "Write scores or embeddings of a store, in its row order."),
    "evaluate": ("hepfm.cli.evaluate", "Measure a model on a task's test rows, with uncertainties."),
    "compare": ("hepfm.cli.compare", "Compare results in tables, curves and one report.html."),
    "study": ("hepfm.cli.study", "Arms, sizes, label budgets and seeds: all runs, once each, and a report."),
    "anomaly": ("hepfm.cli.anomaly", "Search for a resonance without labels: CWoLa, CATHODE, ANODE, limits."),
    "reweight": (
        "hepfm.cli.reweight",
        "Weight one sample to resemble another, with closure and a file of weights.",
    ),
    "unfold": ("hepfm.cli.unfold", "Unfold data by OmniFold, with replicas, tests and a file of weights."),
    "list": ("hepfm.cli.listing", "List components and recipes."),
    "show": ("hepfm.cli.show", "Show a recipe, model, store or run."),
    "check": ("hepfm.cli.check", "Verify a model directory against its own fixture."),
    "convert": ("hepfm.cli.convert", "Turn another package's checkpoint into a model directory."),
    "export": ("hepfm.cli.export", "Write a model as ONNX or TorchScript for other programs."),
    "push": ("hepfm.cli.push", "Copy a model to the Hugging Face hub or a folder."),
    "pull": ("hepfm.cli.pull", "Copy a model from the Hugging Face hub or a folder, and check it."),
    "tools": ("hepfm.tools.tools_verb", "Describe the verbs as functions that a language model can call."),
    "call": ("hepfm.tools.call_verb", "Call a verb by such a description, with arguments as JSON."),
    "doctor": ("hepfm.cli.doctor", "Say what is installed and what works on this machine."),
}
"""Verb -> (module with a click command named ``command``, one line of help)."""


class _Verbs(click.Group):
    """A group that knows its verbs' help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(VERBS[cmd_name][0]).command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from hepfm.core.errors import did_you_mean

            ctx.fail(f"no verb {args[0]!r}{did_you_mean(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        from hepfm.cli.common import ended_in_words

        with ended_in_words(as_json="--json" in args):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:  # click would make "Aborted!" and exit code 1 of a Ctrl-C while imports run
            from hepfm.cli.common import ended_in_words

            with ended_in_words(as_json="--json" in ctx.args):
                return super().invoke(ctx)
        except KeyboardInterrupt:  # during the import above
            click.echo("\ninterrupted; nothing half-made was left", err=True)
            sys.exit(130)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hepfm.__version__, prog_name="hepfm")
def group() -> None:
    """Foundation models for high-energy physics.

    simulate / ingest -> store -> pretrain -> model -> finetune / predict -> evaluate -> compare
    """


def main() -> None:
    """Run the command line."""
    group(prog_name="hepfm")
