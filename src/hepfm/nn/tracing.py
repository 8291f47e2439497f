"""Whether torch is compiling or exporting a network."""

from __future__ import annotations

import torch


def is_traced() -> bool:
    """Tell whether torch compiles or exports: then shapes are symbols and layout is the compiler's affair."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
