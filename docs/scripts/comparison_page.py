"""Write docs/comparison.md from the registry of recipes, committed results, and facts about published systems.

python docs/scripts/comparison_page.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pydantic

sys.path.insert(0, str(Path(__file__).parent))

from options_table import papers_linked
from study_page import MARKS, PRIMARY, markdown, marks, merged, read

from hepfm.core.config import Config, read_yaml, validate

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "comparison.md"
STUDIES = {
    "selfsupervised": ("selfsupervised_cpu_3", "selfsupervised_cpu_2", "selfsupervised_cpu"),
    "demo": ("demo",),
    "pilot": ("pretraining_objectives_pilot",),
    "subjets": ("groupings_cpu",),
    "patches": ("groupings_cpu",),
    "taggers": ("backbones_cpu",),
    "taggers, ParticleNet": ("backbones_cpu",),
    "taggers, L-GATr": ("backbones_cpu",),
    "taggers, L-GATr-slim": ("backbones_cpu",),
    "bumblebee": ("bumblebee_cpu",),
    "events": ("event_classifier_cpu",),
    "evenet": ("evenet_cpu",),
}
"""Reports of each group of results; arms of one group are corrected together."""

SIZES = {
    "subjets": "subjets",
    "patches": "patches",
    "taggers": "particle_transformer",
    "taggers, ParticleNet": "particlenet",
    "taggers, L-GATr": "lgatr",
    "taggers, L-GATr-slim": "lgatr_slim",
}
"""What a study with several sizes calls the one that counts."""

LOWER = ("mtt_iqr",)
"""Headline metrics of which lower values are better."""

FROZEN = ("probe", "neighbours")
"""Tasks in which the network is fixed."""

BASELINE = "row baseline"


class Evidence(Config):
    """An arm of a study; it may be a part of the system only, which then counts in no summary."""

    study: str
    arm: str
    part: bool = False


class System(Config):
    """A published system: what it is, and what stands for it here."""

    name: str
    papers: tuple[str, ...]
    level: str
    task: str
    labels: str
    simulation: str
    inputs: str
    downstream: str
    recipes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    absent: Mapping[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    note: str = ""


@cache
def systems() -> dict[str, System]:
    """Return the systems by key."""
    values = read_yaml(Path(__file__).with_name("systems.yaml"))
    return {key: validate(System, value, where=key) for key, value in values.items()}


@dataclass(frozen=True)
class Result:
    """An arm against scratch in one task with one number of labels."""

    task: str
    labels: str
    mark: str
    mean: float
    scratch: float
    baseline: float | None

    @property
    def place(self) -> str:
        """Task and labels, in words."""
        return f"{self.task}, {self.labels} labels" if self.labels else self.task

    @property
    def frozen(self) -> bool:
        """Whether the network was fixed."""
        return self.task in FROZEN

    @property
    def above_scratch(self) -> bool:
        """Whether its mean is better than that of training from scratch."""
        lower = PRIMARY.get(self.task) in LOWER
        return self.mean < self.scratch if lower else self.mean > self.scratch

    @property
    def above_baseline(self) -> bool:
        """Whether it is better than a regression on the numbers of the whole jet."""
        return self.baseline is None or self.mean > self.baseline


@cache
def results(study: str) -> dict[str, list[Result]]:
    """Return the results of each arm of a group of reports, in the headline metric of each task."""
    folders = [DOCS / "reports" / name / "csv" for name in STUDIES[study]]
    found: dict[str, list[Result]] = {}
    names = {path.name for folder in folders for path in folder.glob("panel*-against-scratch.csv")}
    if study in SIZES:
        sizes, tasks = (
            list(dict.fromkeys(row[key] for row in read(folders[0].parent / "results.csv")))
            for key in ("size", "task")
        )
        first = sizes.index(SIZES[study]) * len(tasks) + 1
        numbers = [str(number) for number in range(first, first + len(tasks))]
        names = {name for name in names if name.removeprefix("panel").split("-")[0] in numbers}
    for name in sorted(names):
        task = name.removesuffix("-against-scratch.csv").split("-", 1)[1]
        metric = PRIMARY.get(task, "auc")
        compared = [row for row in merged(folders, name, "plus") if row["metric"] == metric]
        means = {
            (row["arm"], row["labels"]): float(row["mean"])
            for row in merged(folders, name.replace("against-scratch", "results"), "arm")
            if row["metric"] == metric
        }
        asked = registered(study, task, metric)
        for (arm, labels), mark in (marks(compared) | asked).items():
            baseline = next(
                (mean for (one, n), mean in means.items() if one.startswith(BASELINE) and n == labels), None
            )
            one = Result(task, labels, mark, means[arm, labels], means["scratch", labels], baseline)
            found.setdefault(arm, []).append(one)
    return found


def registered(study: str, task: str, metric: str) -> dict[tuple[str, str], str]:
    """Return the marks of contrasts of an arm against scratch that one report was made to answer."""
    if len(STUDIES[study]) > 1:
        return {}
    rows = read(DOCS / "reports" / STUDIES[study][0] / "csv" / "contrasts.csv")
    return {
        (row["plus"], row["labels"]): MARKS.get(row["verdict"].split(":")[0], "")
        for row in rows
        if row["minus"] == "scratch"
        and row["metric"] == metric
        and row["panel"].split(", ")[0] == task
        and row["panel"].split(", ")[-1] == SIZES.get(study, row["panel"].split(", ")[-1])
    }


def verdict(measured: Sequence[Result]) -> str:
    """Return whether an arm is better than training from scratch, in words."""
    better = [one for one in measured if one.mark == MARKS["better"]]
    worse = [one for one in measured if one.mark == MARKS["worse"]]
    tuned = [one for one in better if not one.frozen]
    above = [one for one in measured if not one.frozen and one.above_scratch]
    total = sum(not one.frozen for one in measured)
    if tuned:
        return f"**yes**: {_places(tuned)}"
    if worse:
        return f"**not**: worse in {_places(worse)}"
    if better:
        return f"only frozen: {_places(better)}; tuned not resolved"
    if not above:
        return f"**not**: mean below scratch in all {total} columns, none resolved"
    return f"not resolved (mean above scratch in {len(above)} of {total} columns)"


def _places(measured: Sequence[Result]) -> str:
    return "; ".join(
        one.place + ("" if one.above_baseline else " (below four numbers of the jet)") for one in measured
    )


def _status(system: System) -> Iterator[list[str]]:
    """Yield the rows of a system in the table of what it does here."""
    papers = papers_linked(", ".join(system.papers))
    recipes = ", ".join(f"`{name}`" for name in system.recipes if not name.endswith(("_cpu", "_tokenizer")))
    recipes = recipes or ", ".join(f"`{name}`" for name in system.recipes)
    if system.absent:
        yield [system.name, papers, "**absent**", "", "", "", system.note]
        return
    first = [system.name, papers, recipes or "none of its own"]
    for number, evidence in enumerate(system.evidence or [None]):
        measured = results(evidence.study).get(evidence.arm) if evidence else None
        arm = f"`{evidence.arm}` ({evidence.study}{', a part' if evidence.part else ''})" if evidence else ""
        if measured is None:
            done = "not run" if evidence else "trains; not measured" if system.recipes else "not trained here"
            cells = [arm, done, "not run"]
        else:
            tasks = len({one.task for one in measured if not one.frozen})
            cells = [arm, f"yes, {tasks} task{'s' if tasks > 1 else ''}", verdict(measured)]
        yield [*(["", "", ""] if number else first), *cells, "" if number else system.note]


def page() -> str:
    """Return the page."""
    every = systems().values()
    what = markdown(
        [
            "system",
            "paper",
            "level",
            "pre-training task",
            "labels",
            "simulation",
            "inputs",
            "downstream in the paper",
        ],
        [
            [
                one.name,
                papers_linked(", ".join(one.papers)),
                one.level,
                one.task,
                one.labels,
                one.simulation,
                one.inputs,
                one.downstream,
            ]
            for one in every
        ],
    )
    here = markdown(
        [
            "system",
            "paper",
            "recipes",
            "arm (study)",
            "pre-trained, fine-tuned to other tasks",
            "better than scratch",
            "remarks",
        ],
        [row for one in every for row in _status(one)],
    )
    return TEXT.format(what=what, here=here, met=_summary(every))


def _summary(every: Any) -> str:
    words: dict[str, list[str]] = {
        "met": [],
        "frozen": [],
        "open": [],
        "failed": [],
        "unmeasured": [],
        "absent": [],
    }
    for one in every:
        words[_sort(one)].append(one.name)
    titles: Mapping[str, str] = {
        "met": "All three criteria are met here, in one arm at least",
        "frozen": "Pre-trained and fine-tuned; a gain is resolved only with the network frozen",
        "open": "Pre-trained and fine-tuned; no gain is resolved",
        "failed": "Pre-trained and fine-tuned; not better, or worse",
        "unmeasured": "Here, and not measured as a whole against scratch",
        "absent": "Absent from the package",
    }
    return "\n".join(f"- **{titles[key]}**: {'; '.join(names) or 'none'}." for key, names in words.items())


def _sort(system: System) -> str:
    if system.absent:
        return "absent"
    whole = [one for one in system.evidence if not one.part]
    found = [results(one.study)[one.arm] for one in whole if one.arm in results(one.study)]
    said = [verdict(measured) for measured in found]
    for key, beginning in (
        ("met", "**yes**"),
        ("frozen", "only frozen"),
        ("open", "not resolved"),
        ("failed", "**not**"),
    ):
        if any(text.startswith(beginning) for text in said):
            return key
    return "unmeasured"


TEXT = """---
hide: [navigation, toc]
---

<!-- made by docs/scripts/comparison_page.py -->

# Comparison of the systems

Which pre-trained systems of the field are here, and do they work by three criteria: a network **is pre-trained**, is **fine-tuned to other tasks**, and is **measurably better
than training from scratch**? The first table is about the papers, the second about this package.

{met}

The verdicts are of small networks and small samples (two cores), and say nothing about the systems at their own scale. **No published number is reproduced here.**

## The systems

Facts are from abstracts, public code or the field's review; what was not read at first hand is said to be missing. "Not for the task": pre-training could be done on collision data.

{what}

## Here

Only from committed results: [every objective in one table](selfsupervised.md) (study `selfsupervised`: one transformer, 101,000 jets, five pre-trainings per arm), its [variants with subjets and patches as tokens](selfsupervised.md#subjets-and-patches-as-tokens), [the demo](demo.md) and
[the pilot](pretraining_objectives.md#the-pilot) (tagging; its registered contrasts). A gain counts if it is *better* after Holm's correction over all arms of a task, by trainings and by test rows ([verdicts](evaluation.md#verdicts)), in accuracy for ten classes or AUC for two. *Frozen* is a probe
or the nearest neighbours of the fixed network. All arms of the demo start from one pre-training. Ten classes are the task of `supervised` itself.

{here}

Departures from the papers: [masked modelling](masked_modelling.md#departures), [tokens](tokens.md#presets), [contrastive training](contrastive.md#departures),
[joint embedding](joint_embedding.md#recipes-and-how-they-depart-from-the-papers), [backbones](backbones.md). Objectives without a system of the review: `vicreg`, `lejepa` ([what came out](selfsupervised.md)).
"""

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
