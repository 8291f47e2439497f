"""Les Houches files of gluon pairs, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

HEAD = """<LesHouchesEvents version="3.0">
<init>
2212 2212 6500. 6500. 0 0 247000 247000 -4 1
10.0 0.1 10.0 1
</init>
"""


def event(weight: float, number: int) -> str:
    """Return gg -> gg at a transverse momentum of 700 to 800 GeV."""
    rng = np.random.default_rng(number)
    pt, phi = rng.uniform(700, 800), rng.uniform(-3, 3)
    px, py, (pz_1, pz_2) = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(rng.uniform(-0.3, 0.3, 2))
    energies = np.hypot(pt, [pz_1, pz_2])
    plus, minus = energies.sum() + pz_1 + pz_2, energies.sum() - pz_1 - pz_2
    rows = [
        ("21 -1 0 0 501 502", 0, 0, plus / 2, plus / 2),
        ("21 -1 0 0 503 501", 0, 0, -minus / 2, minus / 2),
        ("21 1 1 2 504 502", px, py, pz_1, energies[0]),
        ("21 1 1 2 503 504", -px, -py, pz_2, energies[1]),
    ]
    lines = [f"{codes} {' '.join(f'{p:.10e}' for p in momentum)} 0. 0. 9." for codes, *momentum in rows]
    return "\n".join(["<event>", f"4 1 {weight:.8e} {pt:.6e} 7.5e-3 0.1", *lines, "</event>", ""])


def write_events(path: Path, weights: Any) -> Path:
    events = "".join(event(float(weight), number) for number, weight in enumerate(weights))
    path.write_text(f"{HEAD}{events}</LesHouchesEvents>\n")
    return path
