"""``hepfm doctor``: what is installed and what works on this machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
from dataclasses import dataclass
from typing import Any

import click

from hepfm.cli.common import verb
from hepfm.cli.result import VerbResult
from hepfm.core.errors import HepfmError

CORE = "core"
"""What `extras` calls the libraries that are always installed."""

_GATHERING = ("all", "docs")
"""Extras that only gather others, or are for those who build the documentation."""

MALLOC = "MALLOC_MMAP_THRESHOLD_"


def extras() -> dict[str, list[str]]:
    """Return the libraries of each extra of the package, as its own metadata name them.

    Raises
    ------
    HepfmError
        When the package runs from a folder and is not installed: then it has no metadata.
    """
    try:
        requirements = importlib.metadata.requires("hepfm") or []
    except importlib.metadata.PackageNotFoundError:
        raise HepfmError("hepfm is not installed; install it with: pip install -e '.[all]'") from None
    libraries: dict[str, list[str]] = {}
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
        libraries.setdefault(extra[1] if extra else CORE, []).append(name)
    return {extra: names for extra, names in libraries.items() if extra not in _GATHERING}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _extra_lines(versions_of: dict[str, dict[str, str | None]]) -> list[str]:
    lines = []
    for extra, versions in versions_of.items():
        missing = [name for name, version in versions.items() if version is None]
        state = f"missing {', '.join(missing)}: pip install 'hepfm[{extra}]'" if missing else "ok"
        present = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        lines.append(f"  {extra:<7} {state:<4} {present}")
    return lines


def _torch_facts() -> dict[str, Any]:
    import torch

    return {
        "threads": torch.get_num_threads(),
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
    }


@dataclass(frozen=True, kw_only=True)
class Machine(VerbResult):
    """What is installed and what works.

    Attributes
    ----------
    python
        Version of Python.
    torch
        Its threads, the names of its CUDA devices, and whether these compute in bf16.
    extras
        Version of each library by extra of the package; null for one that is missing.
    """

    python: str
    torch: dict[str, Any]
    extras: dict[str, dict[str, str | None]]


@click.command()
@verb
def command() -> Machine:
    """Say which parts are installed, which devices torch sees, and what would make training faster."""
    versions_of = {extra: {name: _version(name) for name in names} for extra, names in extras().items()}
    torch_facts = _torch_facts()
    free_gb = shutil.disk_usage(".").free / 1e9
    advice = []
    if not torch_facts["devices"] and platform.system() == "Linux" and MALLOC not in os.environ:
        advice.append(
            "training on the CPU is faster with glibc keeping its memory: "
            f"export {MALLOC}=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184"
        )
    devices = ", ".join(torch_facts["devices"]) or "none but the CPU"
    lines = [
        f"python {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"{os.cpu_count()} processors, {free_gb:.0f} GB free here",
        f"torch: {torch_facts['threads']} threads, devices: {devices}",
        "extras:",
        *_extra_lines(versions_of),
        *(f"advice: {line}" for line in advice),
    ]
    return Machine(
        python=platform.python_version(),
        torch=torch_facts,
        extras=versions_of,
        lines=lines,
        next="hepfm demo",
    )
