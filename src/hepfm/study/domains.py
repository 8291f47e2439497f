"""Section ``domains`` of a study: several kinds of data, and arms that pre-train on one or many of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hepfm.core.errors import did_you_mean

if TYPE_CHECKING:
    from hepfm.study.arm import Arm
    from hepfm.study.config import Downstream, StudyConfig

Values = dict[str, Any]

ARCHITECTURE_ALONE: Values = {
    "train": {"steps": 1, "validate_every": 1, "ema": None},
    "data": {"validation": None},
    "early_stopping": None,
}
"""What is laid over a recipe of pre-training for scratch, which takes no weight and no constant from it."""


def domain_store(values: Mapping[str, Any]) -> Any:
    """Return the store that the values of a domain name; None where they name none."""
    data = values.get("data")
    return data.get("store") if isinstance(data, Mapping) else None


def trained_together(arm: Arm | None, domains: Collection[str], own: str) -> tuple[str, ...]:
    """Return the domains that an arm trains on for a task of the domain `own`; empty where it leaves it out.

    Scratch has the architecture of the task's own domain.
    """
    if arm is None or arm.domains == "own":
        return (own,)
    named = tuple(domains) if arm.domains == "all" else tuple(arm.domains or ())
    return named if own in named else ()


def domain_problems(config: StudyConfig) -> Iterator[str]:
    """Yield what is wrong with the domains of a study, and with arms and tasks that name them."""
    for name, arm in config.arms.items():
        if arm is not None and arm.model is None:
            yield from (f"arms.{name}: {problem}" for problem in _of_arm(arm, config.domains))
    for name, task in config.downstream.items():
        yield from (f"downstream.{name}: {problem}" for problem in _of_task(task, config.domains))
    if not config.domains:
        return
    if len(config.domains) < 2:
        yield "domains has one entry; for one kind of data leave it out, with data and objective in pretrain"
    if "store" in config.pretrain.model_fields_set:
        yield "pretrain.store is for studies without domains; a domain names its own, domains.NAME.data.store"
    for section in ("tokenizer", "scaling"):
        if getattr(config, section) is not None:
            yield f"{section} is for studies without domains; leave one of them out"
    for name, values in config.domains.items():
        if domain_store(values) is None:
            yield f"domains.{name}.data.store is missing: the name of a store of the study"


def contrast_problems(config: StudyConfig, arms: Collection[str], task: str) -> Iterator[str]:
    """Yield arms of a contrast that do not train on the domain of its task."""
    own = config.downstream[task].domain
    for name in arms if own is not None else ():
        if not trained_together(config.arms[name], config.domains, str(own)):
            yield f"arm {name!r} does not train on {own!r}, the domain of {task!r}"


def _of_arm(arm: Arm, domains: Collection[str]) -> Iterator[str]:
    if (arm.objective is None) == (arm.domains is None):
        yield "give the objective of pre-training, a model, or domains: own, all or a list of names"
    elif arm.domains is not None and not domains:
        yield "the study has no section domains; give an objective"
    elif arm.objective is not None and domains:
        yield "each domain has its own objective; give domains: own, all or a list of names"
    elif isinstance(arm.domains, tuple):
        yield from (
            f"{name!r} is no domain of the study{did_you_mean(name, domains)}"
            for name in arm.domains
            if name not in domains
        )
        if len(set(arm.domains)) < max(len(arm.domains), 2):
            yield "a list of domains has two at least, each once; for one alone write own"


def _of_task(task: Downstream, domains: Collection[str]) -> Iterator[str]:
    if task.domain is None and domains:
        yield f"say of which domain it is: domain, one of {', '.join(domains)}"
    elif task.domain is not None and not domains:
        yield "domain is for studies with a section domains; remove it"
    elif task.domain is not None and task.domain not in domains:
        yield f"{task.domain!r} is no domain of the study{did_you_mean(task.domain, domains)}"
