"""Cells that tables of several analyses have: chi-squared, distances, shares."""

from __future__ import annotations

import math

from hepfm.metrics.binned import ChiSquared
from hepfm.report.formats import p_value, significant

CHI_SQUARED = (
    "chi-squared",
    (
        "Of the result and what it is compared with, with the covariance of their difference over bootstrap "
        "replicas. The p-value knows that this covariance is estimated (Hotelling's T^2); the value is "
        "scaled so that its mean is the number of degrees of freedom (astro-ph/0608064). With fewer than "
        "three replicas more than bins correlations are not known, and only variances are used."
    ),
)
"""For the definitions of a page."""
TRIANGULAR = (
    "Triangular discriminator",
    "Half the sum over bins of (p - q)^2/(p + q) of normalised histograms, times 1000: 0 for equal ones.",
)


def chi_text(chi: ChiSquared | None) -> str:
    """Return a chi-squared with its p-value for people.

    >>> chi_text(ChiSquared(7.4, 10, 0.68)), chi_text(ChiSquared(90.0, 10, 1e-9)), chi_text(None)
    ('7.4 / 10, p = 0.68', '90.0 / 10, p < 0.0001', '-')
    """
    if chi is None or not chi.degrees:
        return "-"
    shown = p_value(chi.p)
    return f"{chi.value:.1f} / {chi.degrees}, p {shown if shown.startswith('<') else f'= {shown}'}"


def chi_value(chi: ChiSquared | None, key: str) -> float | None:
    """Return ``value``, ``degrees`` or ``p`` of a chi-squared; None where there is none."""
    return None if chi is None or not math.isfinite(chi.value) else float(getattr(chi, key))


def thousand(value: float | None) -> str:
    """Return a thousand times a distance for people."""
    return "-" if value is None else significant(1000 * value)


def per_cent(value: float | None) -> str:
    """Return a share for people.

    >>> per_cent(0.0123), per_cent(None)
    ('1.23 %', '-')
    """
    return "-" if value is None else f"{100 * value:.2f} %"


def axis(name: str, unit: str) -> str:
    """Return the label of an observable's axis.

    >>> axis("jet_mass", "GeV"), axis("width", "1")
    ('jet_mass [GeV]', 'width')
    """
    return name if unit == "1" else f"{name} [{unit}]"


def several(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> several(1, "training"), several(2000, "draw")
    ('1 training', '2,000 draws')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
