"""A bump in the spectrum of events after a cut, and the limit on a signal in the region.

The statistic is BumpHunter's (1101.0390) by package pyBumpHunter, of the data against the spectrum that is
fitted to their sidebands. In its own pseudo-experiments the package takes that spectrum as known; here each
pseudo-experiment is fitted again, since small p-values would else be too frequent by the error of the fit.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DataError, missing_extra
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.methods.anomaly.regions import Regions
from hepfm.methods.anomaly.spectrum import MassSpectrum, bins_beside, bins_inside, fit_spectrum
from hepfm.methods.ratio.base import Floats

_FEWEST_EXPECTED = 1e-6
"""Expected events below which a counting experiment is not made."""
_LEAST_ERROR = 1e-3
"""Relative error of the expectation, at least: the model of pyhf has none of zero."""


class HuntConfig(Config):
    """Options of bump hunt and limit.

    Attributes
    ----------
    degree
        Of the polynomial in ln of the field that ln of the spectrum is.
    pseudo_experiments
        Of the global p-value; 0 leaves the bump hunt out.
    widest
        Most bins of a bump.
    limit
        Whether upper limits are computed.
    level
        Of limits is 1 less this.
    """

    degree: int = pydantic.Field(2, ge=1, le=5)
    pseudo_experiments: int = pydantic.Field(200, ge=0)
    widest: int = pydantic.Field(6, ge=1)
    limit: bool = True
    level: float = pydantic.Field(0.05, gt=0, lt=1)


@dataclass(frozen=True)
class Hunt:
    """What the spectrum after a cut says.

    Attributes
    ----------
    observed, expected, error
        Events of the signal region, those that the sidebands let expect, and the error of the fit.
    p_region
        Of background alone in the signal region: a counting experiment (pyhf).
    p_global
        Of the most significant bump anywhere in the windows.
    bump
        Ends of that bump.
    limit
        Upper limit on the signal events in the windows before the cut; None when it was not asked for.
    spectrum
        Expected events in bins.
    """

    observed: int
    expected: float
    error: float
    p_region: float | None
    p_global: float | None
    bump: tuple[float, float] | None
    limit: float | None
    spectrum: MassSpectrum


def hunt(
    counts: npt.NDArray[np.int64],
    regions: Regions,
    config: HuntConfig,
    *,
    signal_efficiency: float | None,
    seed: int,
) -> Hunt:
    """Fit the sidebands of a spectrum and look for what they do not explain.

    Parameters
    ----------
    counts
        Events in the bins of `Regions.edges`, (K,).
    regions, config
        Windows and options.
    signal_efficiency
        Part of the signal events of all windows that are in the signal region and pass; for the limit.
    seed
        Of pseudo-experiments.

    Raises
    ------
    DataError
        When the sidebands cannot be fitted.
    """
    edges, fitted = regions.edges, bins_beside(regions)
    fit = fit_spectrum(counts, edges, fitted, config.degree)
    inside = bins_inside(regions)
    observed, (expected, error) = int(counts[inside].sum()), fit.within(inside)
    p_global, bump = _global(counts, regions, fit, config, seed)
    p_region = limit = None
    if expected > _FEWEST_EXPECTED:
        model = _counting(expected, error)
        p_region = _discovery(model, observed)
        if config.limit and signal_efficiency:
            limit = upper_limit(observed, expected, error, level=config.level) / signal_efficiency
    return Hunt(observed, expected, error, p_region, p_global, bump, limit, fit)


def _global(
    counts: npt.NDArray[np.int64], regions: Regions, fit: MassSpectrum, config: HuntConfig, seed: int
) -> tuple[float | None, tuple[float, float] | None]:
    """Return the p-value of the most significant bump and its ends."""
    if not config.pseudo_experiments:
        return None, None
    edges, fitted = regions.edges, bins_beside(regions)
    used = fitted | bins_inside(regions)
    statistic, start, width = _scan(counts, fit.expected, used, config)
    rng = numpy_generator(seed, "anomaly.pseudo_experiments")
    above, made = 0, 0
    for _ in range(config.pseudo_experiments):
        drawn = rng.poisson(fit.expected)
        try:
            expected = fit_spectrum(drawn, edges, fitted, config.degree).expected
        except DataError:  # too few events in the drawn sidebands to fit, as in data of which none is told
            continue
        made += 1
        above += _scan(drawn, expected, used, config)[0] >= statistic
    kept = edges[:-1][used], edges[1:][used]
    bump = float(kept[0][start]), float(kept[1][start + width - 1])
    return (above + 1) / (made + 1), bump  # the data are one more experiment: never zero


def _scan(
    counts: npt.NDArray[np.int64], expected: Floats, used: npt.NDArray[np.bool_], config: HuntConfig
) -> tuple[float, int, int]:
    """Return BumpHunter's statistic, and first bin and number of bins of the bump."""
    try:
        from pyBumpHunter import BumpHunter1D
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "pyBumpHunter", "stat") from None
    hunter = BumpHunter1D(
        width_min=1, width_max=min(config.widest, int(used.sum())), nworker=1, bins=int(used.sum())
    )
    with _own_random_state(), contextlib.redirect_stdout(io.StringIO()):  # it prints, and seeds NumPy
        hunter.bump_scan(counts[used], expected[used], is_hist=True, do_pseudo=False)
    return float(hunter.t_ar[0]), int(hunter.min_loc_ar[0]), int(hunter.min_width_ar[0])


@contextlib.contextmanager
def _own_random_state() -> Any:
    """Leave NumPy's global generator as it was: the package seeds it."""
    before = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _counting(expected: float, error: float) -> Any:
    """Return the model of one bin, in which a signal of strength 1 is one event."""
    try:
        import pyhf
    except ModuleNotFoundError as missing:
        raise missing_extra(missing.name or "pyhf", "stat") from None
    # The specification is the package's own: to validate it would only read its schema again.
    return pyhf.simplemodels.uncorrelated_background(
        [1.0], [expected], [max(error, _LEAST_ERROR * expected)], validate=False
    )


def _discovery(model: Any, observed: int) -> float:
    """Return the p-value of background alone, of the profile likelihood ratio q0 (1007.1727)."""
    import pyhf

    data = [float(observed), *model.config.auxdata]
    bounds = _bounds(model, observed)
    return float(pyhf.infer.hypotest(0.0, data, model, test_stat="q0", par_bounds=bounds))


def upper_limit(observed: int, expected: float, error: float, *, level: float = 0.05) -> float:
    """Return the CLs upper limit on the signal events of one bin, by asymptotic formulae (1007.1727).

    Parameters
    ----------
    observed
        Events.
    expected, error
        Of background, and the uncertainty of that number.
    level
        1 less the confidence level.
    """
    from pyhf.infer.intervals.upper_limits import toms748_scan

    model = _counting(expected, error)
    data = [float(observed), *model.config.auxdata]
    most = _bounds(model, observed)[0][1]
    # Excluded at no level, and far enough from none: of 0.01 events the test statistic may round to 0 / 0.
    least = 0.05 * float(np.hypot(np.sqrt(max(observed, expected)), error))
    found, _ = toms748_scan(
        data, model, least, most, level=level, rtol=1e-2, par_bounds=_bounds(model, observed)
    )
    return float(found)


def _bounds(model: Any, observed: int) -> list[tuple[float, float]]:
    """Return bounds of the parameters: signal up to far above what the data can hold."""
    bounds = list(model.config.suggested_bounds())
    bounds[model.config.poi_index] = (0.0, 20.0 + 3.0 * observed)
    return bounds


def pseudo_seed(seed: int, place: int) -> int:
    """Return the seed of the pseudo-experiments of a cut."""
    return integer_seed(seed, "anomaly.hunt", place, bits=31)
