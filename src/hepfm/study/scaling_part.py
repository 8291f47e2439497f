"""The part of a study's report about scaling: losses of pre-training against parameters, rows and compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hepfm.report.blocks import Block, Bullets, Folded, Part, Text, Titled, grid
from hepfm.report.formats import interval
from hepfm.report.table import ReportTable
from hepfm.study.plan import Plan
from hepfm.study.registration import Registration, registration_text
from hepfm.study.scaling_figures import arm_figures
from hepfm.study.scaling_fits import ArmScaling, CheckedPrediction, ScaledCell, counted
from hepfm.study.scaling_grid import ScalingGrid
from hepfm.study.scaling_runs import (
    FIRST,
    IMPROVING,
    NO_PLATEAU,
    OVERFIT,
    OVERFITTED,
    MeasuredTraining,
    planned_parameters,
)
from hepfm.study.scaling_tables import (
    EXPONENT,
    LAW_COLUMNS,
    PARAMETER_COLUMNS,
    PREDICTION_COLUMNS,
    TRAINING_COLUMNS,
    LawRow,
    ParameterRow,
    PredictionRow,
    parameter_rows,
    remark,
    shown_interval,
    shown_number,
)

PARAMETERS = (
    "Parameters of the laws L = E + A/N^alpha + B/D^beta (2203.15556), and of each variable alone where the "
    "others are largest; L = E + G/C^gamma for compute C up to the best validation, of the cells that no "
    "cheaper one undercuts. Value: least Huber loss of ln L, from several starts. Interval: {level:.0%}, of "
    "a bootstrap over trainings that also holds the scatter of cells around the law. 'not determined' where "
    "the interval reaches a bound: no number is printed then."
)
QUALITY = (
    "How well the laws describe the losses. Scatter: standard deviations of ln L, of trainings of one cell, "
    "and of cells around the law beyond what trainings explain. p of the form: of residuals as large as "
    "these if the form is right (F test)."
)
PREDICTIONS = (
    "What the law of N and D, fitted to the other cells, says of cells that it has not seen, beside what was "
    "measured. Interval: {level:.0%}, of the geometric mean of as many trainings; agreement is that the mean "
    "lies in it. Largest fitted cell: what a guess that nothing more is gained says."
)
TRAININGS = (
    "All trainings. N counts the weights of the backbone without the embedding of its inputs and without "
    "heads. Loss: at the best validation; as the lowest of many it is slightly too low. FLOP: 6 N for "
    "each constituent that was seen up to the best validation, a convention (2001.08361) that leaves "
    "attention, heads and padding out; core seconds are measured, of the whole training."
)


def scaling_part(
    plan: Plan, trainings: Sequence[MeasuredTraining], registration: Registration | None
) -> Part:
    """Build the part: what was predicted, figures and tables of each arm, then all trainings."""
    section = plan.config.scaling
    assert section is not None
    arms = arm_scalings(plan, trainings)
    blocks: list[Block] = []
    if registration is not None:
        blocks.append(Text(registration_text(registration), warning=not registration.beforehand))
    blocks.append(Bullets(tuple(_sentences(arms, section)), answers=True))
    blocks += _tables(arms, section)
    for arm in arms:
        if arm.fitted:
            blocks.append(Titled(f"Loss against scale: {arm.arm}", tuple(grid(arm_figures(arm)))))
    blocks += [Text(line) for line in _marked(trainings, section, missing=len(plan.scaled) - len(trainings))]
    table = ReportTable(TRAINING_COLUMNS, tuple(trainings), TRAININGS, "scaling-trainings")
    return Part("scaling", "Scaling", (*blocks, Folded("All trainings", (table,))), heading="Scaling laws")


def arm_scalings(plan: Plan, trainings: Sequence[MeasuredTraining]) -> tuple[ArmScaling, ...]:
    """Return the cells of each arm, in the order of the plan; held-out ones before they are trained too."""
    section = plan.config.scaling
    assert section is not None
    arms = dict.fromkeys(one.arm for one in plan.scaled)
    return tuple(
        ArmScaling(
            arm, section, tuple(_cells(plan, arm, section, trainings)), len(plan.config.seeds.pretrain)
        )
        for arm in arms
    )


def _cells(
    plan: Plan, arm: str, section: ScalingGrid, trainings: Sequence[MeasuredTraining]
) -> Iterator[ScaledCell]:
    planned = {(one.size, one.rows): one for one in plan.scaled if one.arm == arm}
    for (size, rows), one in planned.items():
        mine = [
            each
            for each in trainings
            if (each.planned.arm, each.planned.size, each.planned.rows) == (arm, size, rows)
        ]
        kept, left_out = counted(mine, section)
        if mine:
            yield ScaledCell(
                size, rows, one.predicted, mine[0].parameters, mine[0].training_rows, kept, left_out
            )
        elif one.predicted and rows is not None:
            yield ScaledCell(size, rows, one.predicted, planned_parameters(plan.runs[one.run]), rows, ())


def _sentences(arms: Sequence[ArmScaling], section: ScalingGrid) -> Iterator[str]:
    """Say what was predicted and what came, and what the exponents are."""
    for arm in arms:
        yield from (_prediction_sentence(arm.arm, one) for one in arm.predictions)
        if arm.joint.fit is None:
            yield f"{arm.arm}: no law of N and D. {arm.joint.why}."
            continue
        found = [
            f"{row.symbol} not determined ({row.number.problem})"
            if row.number.problem
            else f"{row.symbol} = {shown_number(row.number.value)} ({shown_interval(row.number)})"
            for row in parameter_rows(arm.arm, arm.joint)
            if row.symbol in ("E", *EXPONENT.values())
        ]
        said = remark(arm.joint)
        yield f"{arm.arm}, law of N and D: {', '.join(found)}{f'; {said}' if said else ''}."
    if not section.predict:
        yield "Nothing was predicted: the study has no scaling.predict."


def _prediction_sentence(arm: str, one: CheckedPrediction) -> str:
    if one.predicted is None:
        return f"{arm}, {one.cell.predicted}: nothing is predicted without a law."
    says = (
        f"{arm}, {one.cell.predicted}: predicted {one.predicted.value:.4f} "
        f"({interval(one.predicted.low, one.predicted.high, 'difference')})"
    )
    if not one.cell.trainings:
        return f"{says}, {one.verdict}."
    return f"{says}, measured {one.cell.mean:.4f} (trainings: {len(one.cell.trainings)}): {one.verdict}."


def _tables(arms: Sequence[ArmScaling], section: ScalingGrid) -> Iterator[Block]:
    predictions = tuple(PredictionRow(arm.arm, one) for arm in arms for one in arm.predictions)
    if predictions:
        caption = PREDICTIONS.format(level=section.level)
        yield ReportTable(PREDICTION_COLUMNS, predictions, caption, "scaling-predictions")
    rows = tuple(row for arm in arms for law in arm.laws for row in parameter_rows(arm.arm, law))
    if rows:
        yield ReportTable(
            PARAMETER_COLUMNS,
            rows,
            PARAMETERS.format(level=section.level),
            "scaling-parameters",
            group=_law_of,
        )
    laws = tuple(LawRow(arm.arm, law) for arm in arms for law in arm.laws)
    yield ReportTable(LAW_COLUMNS, laws, QUALITY, "scaling-laws")


def _law_of(row: ParameterRow) -> tuple[str, str]:
    return row.arm, row.law.key


def _marked(trainings: Sequence[MeasuredTraining], section: ScalingGrid, *, missing: int) -> Iterator[str]:
    """Say how many trainings had no plateau or overfitted, and whether they count."""
    counts = {mark: sum(one.mark == mark for one in trainings) for mark in (IMPROVING, FIRST, OVERFITTED)}
    none = sum(counts[mark] for mark in NO_PLATEAU)
    fate = "They count all the same." if section.improving == "keep" else "They are left out of every fit."
    yield (
        f"Of {len(trainings)} trainings {none} had no plateau ({counts[IMPROVING]} {IMPROVING}, "
        f"{counts[FIRST]} {FIRST}){f': their losses are upper limits. {fate}' if none else '.'} "
        f"{counts[OVERFITTED]} overfitted: the last validation loss is more than {OVERFIT:.0%} above the "
        "best. They count with the best, as early stopping takes it."
    )
    if missing:
        yield f"{missing} planned trainings have no result yet."
