"""The matrix products of a network's training step alone: what the speed of the network is measured against.

The products are recorded in one step, forward and backward, with their shapes. Then they are done alone, one
after the other, on random matrices that lie in memory as products like them best, each by the faster of
torch's two libraries. What a network takes beyond that goes into everything else: activations, norms,
softmax, dropout, copies, Python.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

Product = tuple[int, int, int, int]
"""Number of products, rows, inner size and columns."""
_IMAGES = 16
"""Images of the convolution that stands for a product, as torch hands to oneDNN."""


class Products(TorchDispatchMode):
    """Counts the products that are done within it, by their shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count and go on."""
        name = func.overloadpacket.__name__
        if name in _SHAPES:
            self.counts.update(_SHAPES[name](args))
        return func(*args, **(kwargs or {}))


def _product(a: torch.Tensor, b: torch.Tensor) -> list[Product]:
    rows, inner = a.shape[-2:]
    return [(a.shape[0] if a.dim() == 3 else 1, rows, inner, b.shape[-1])]


def _convolution(image: torch.Tensor, weight: torch.Tensor) -> Product:
    outputs, inputs = weight.shape[:2]
    return (1, image.numel() // inputs, inputs, outputs)


def _convolution_gradients(args: Sequence[Any]) -> list[Product]:
    _, rows, inputs, outputs = _convolution(args[1], args[2])
    of_input, of_weight = args[-1][:2]
    return [(1, rows, outputs, inputs)] * of_input + [(1, inputs, rows, outputs)] * of_weight


def _attention(query: torch.Tensor, key: torch.Tensor, *, times: int) -> list[Product]:
    batch, heads, rows, width = query.shape
    return [(batch * heads, rows, width, key.shape[-2])] * times


_FLASH = "_scaled_dot_product_flash_attention_for_cpu"
_SHAPES: Mapping[str, Callable[[Sequence[Any]], list[Product]]] = {
    "mm": lambda args: _product(args[0], args[1]),
    "bmm": lambda args: _product(args[0], args[1]),
    "addmm": lambda args: _product(args[1], args[2]),
    "addmm_": lambda args: _product(args[1], args[2]),
    "baddbmm": lambda args: _product(args[1], args[2]),
    "baddbmm_": lambda args: _product(args[1], args[2]),
    "convolution": lambda args: [_convolution(args[0], args[1])],
    "convolution_backward": _convolution_gradients,
    # Two products forward; four gradients, with the logits once more.
    "_scaled_dot_product_flash_attention_for_cpu": lambda args: _attention(args[0], args[1], times=2),
    "_scaled_dot_product_flash_attention_for_cpu_backward": lambda args: _attention(
        args[1], args[2], times=5
    ),
}
"""Shapes of the products of an operator of torch."""


def record(step: Callable[[], None]) -> Counter[Product]:
    """Return the products of a step with their numbers."""
    with Products() as products:
        step()
    return products.counts


class Bound:
    """Products to be done alone.

    Parameters
    ----------
    counts
        The products with their numbers.
    """

    def __init__(self, counts: Mapping[Product, int]) -> None:
        self.work = [(_faster(*product), n) for product, n in counts.items()]

    def __call__(self) -> None:
        """Do them all."""
        for once, number in self.work:
            for _ in range(number):
                once()


def _faster(batch: int, rows: int, inner: int, columns: int) -> Callable[[], Any]:
    """Return a product, by the library that was faster in a trial."""
    first, second = torch.randn(batch, rows, inner), torch.randn(batch, inner, columns)
    choices: list[Callable[[], Any]] = [lambda: torch.bmm(first, second)]
    if batch == 1:
        choices = [lambda: torch.mm(first[0], second[0])]
        if rows % _IMAGES == 0:
            image = first.view(_IMAGES, -1, 1, inner).permute(0, 3, 1, 2)
            weight = second[0].T.contiguous()[:, :, None, None]
            choices.append(lambda: F.conv2d(image, weight))
    return min(choices, key=_seconds)


def _seconds(once: Callable[[], Any]) -> float:
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        once()
        times.append(time.perf_counter() - begin)
    return min(times)
