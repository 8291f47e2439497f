"""The forms of a description that interfaces of language models take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepfm.tools.descriptions import Tool


def _three(tool: Tool, key: str) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, key: tool.parameters}


FORMS: dict[str, Callable[[Tool], dict[str, Any]]] = {
    "plain": asdict,
    "function": lambda tool: {"type": "function", "function": _three(tool, "parameters")},
    "input_schema": lambda tool: _three(tool, "input_schema"),
    "mcp": lambda tool: {**_three(tool, "inputSchema"), "annotations": {"readOnlyHint": not tool.writes}},
}
"""Everything; or name, description and the schema of the arguments, which differ in a key and a wrapper."""
