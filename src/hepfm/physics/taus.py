"""Decay modes of hadronic tau decays, grouped as taggers tell them apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DECAY_MODES = ("h", "h_pi0", "h_2pi0", "3h", "3h_pi0", "rare", "none")
"""Groups of decay modes (2503.19165), by charged hadrons h and neutral pions; ``none`` for other jets."""

NO_DECAY = DECAY_MODES.index("none")

_GROUPS = {0: 0, 1: 1, 2: 2, 3: 2, 4: 2, 5: 3, 10: 3, **dict.fromkeys((6, 7, 8, 9, 11, 12, 13, 14), 4)}
_RARE = DECAY_MODES.index("rare")


def decay_mode_class(number: npt.NDArray[np.integer]) -> npt.NDArray[np.int16]:
    """Return indices into `DECAY_MODES` of decay-mode numbers; a negative number stands for no tau.

    The number of a mode with p charged hadrons and n neutral pions is 5 (p - 1) + n. Two-prong modes are
    counted as three-prong ones that lost a track, as in 2503.19165.

    >>> decay_mode_class(np.array([0, 1, 3, 5, 10, 12, 15, -1])).tolist()
    [0, 1, 2, 3, 3, 4, 5, 6]
    """
    modes = np.full(len(number), _RARE, np.int16)
    for mode, group in _GROUPS.items():
        modes[number == mode] = group
    modes[number < 0] = NO_DECAY
    return modes
