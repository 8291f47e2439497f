"""``hepfm export``: a model for other programs."""

from __future__ import annotations

from dataclasses import dataclass

import click

from hepfm.cli.common import verb
from hepfm.cli.options import overwrite_option, read_options, set_option
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class ExportedModel(VerbResult):
    """A file for other programs.

    Attributes
    ----------
    output
        The file.
    format, part
        Its kind, and what of the model it computes.
    inputs, outputs
        Their names in order.
    differences
        Largest difference of each output from the package, over its largest value where that is above 1; of
        codes and masks the fraction of rows with another one.
    """

    output: str
    format: str
    part: str
    inputs: list[str]
    outputs: list[str]
    differences: dict[str, float]


@click.command()
@click.argument("model", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="FILE.onnx or FILE.pt")
@overwrite_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "torchscript"]),
    help="Kind of file; by default that of the ending: .onnx, or .pt for TorchScript.",
)
@click.option(
    "--part",
    type=click.Choice(["heads", "embed", "encode", "decode", "generate", "generate_like"]),
    help="What the file computes; by default what the heads say, or new rows of a model without heads.",
)
@set_option("the generator, e.g. steps=16, fixed in the file")
@verb
def command(
    model: str,
    output: str,
    overwrite: bool,
    format_: str | None,
    part: str | None,
    options: tuple[str, ...],
) -> ExportedModel:
    """Write MODEL as ONNX or TorchScript, and compare the file with the package.

    The file needs nothing of hepfm: standardisation, tokenizer and the steps of a generator are inside.
    """
    from hepfm.models.export import export

    done = export(
        model, output=output, format=format_, part=part, overwrite=overwrite, **read_options(options)
    )
    return ExportedModel(
        output=output,
        format=done.format,
        part=done.part,
        inputs=list(done.inputs),
        outputs=list(done.outputs),
        differences=done.differences,
        lines=[
            f"{output}: {done.part} of {', '.join(done.inputs)}",
            *(
                f"{name}: differs from torch by at most {value:.1e}"
                for name, value in done.differences.items()
            ),
        ],
    )
