"""Electromagnetic showers in a sampling calorimeter, after G. Grindhammer and S. Peters (hep-ex/0001020).

A parametrisation: gamma distributions in depth whose shape fluctuates from shower to shower, a core and a
tail across, and energy that falls in spots. No particle is followed. Lengths are in radiation lengths (X0)
along the shower and in Moliere radii (RM) across it, of the calorimeter as a whole; energies are in GeV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc

from hepfm.core.errors import ConfigError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCATTERING_ENERGY = 0.0212
"""E_s of Moliere's theory (GeV): RM = X0 E_s / E_c."""

_LEAST_WIDTH = 0.05
"""Floor of the radial scales (RM) and of the fluctuations' denominators, where the fits are extrapolated."""


@dataclass(frozen=True)
class Material:
    """A plate of a calorimeter.

    Attributes
    ----------
    charge, mass
        Z and A.
    density
        In g/cm^3.
    radiation_length
        In g/cm^2 (PDG).
    """

    charge: float
    mass: float
    density: float
    radiation_length: float

    @property
    def critical_energy(self) -> float:
        """E_c in GeV: 2.66 MeV (X0 Z / A)^1.1."""
        return 2.66e-3 * float(self.radiation_length * self.charge / self.mass) ** 1.1


TUNGSTEN = Material(74, 183.84, 19.30, 6.76)
SILICON = Material(14, 28.085, 2.329, 21.82)
MATERIALS = {
    "tungsten": TUNGSTEN,
    "lead": Material(82, 207.2, 11.35, 6.37),
    "iron": Material(26, 55.845, 7.874, 13.84),
    "silicon": SILICON,
    "liquid_argon": Material(18, 39.948, 1.396, 19.55),
}


@dataclass(frozen=True)
class SamplingCalorimeter:
    """Plates of an absorber and an active material in turn, as one effective medium (section 3 of the paper).

    Attributes
    ----------
    absorber, active
        The materials.
    absorber_mm, active_mm
        Thickness of a plate of each.
    resolution
        c of the sampling fluctuations sigma / E = c / sqrt(E / GeV).
    """

    absorber: Material
    active: Material
    absorber_mm: float
    active_mm: float
    resolution: float

    def __post_init__(self) -> None:
        for name in ("absorber_mm", "active_mm", "resolution"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} of a calorimeter must be above 0, got {getattr(self, name)}")

    @property
    def charge(self) -> float:
        """Effective Z: the mean, weighted by mass."""
        return self._mean(self.absorber.charge, self.active.charge)

    @property
    def radiation_length(self) -> float:
        """Effective X0 in g/cm^2."""
        return 1 / self._mean(1 / self.absorber.radiation_length, 1 / self.active.radiation_length)

    @property
    def radiation_length_mm(self) -> float:
        """Effective X0 in mm."""
        return 10 * self.radiation_length / self.density

    @property
    def density(self) -> float:
        """Effective density in g/cm^3."""
        return sum(self._depths()) / (self.absorber_mm + self.active_mm) * 10

    @property
    def critical_energy(self) -> float:
        """Effective E_c in GeV."""
        return self.radiation_length * self._mean(
            *(one.critical_energy / one.radiation_length for one in (self.absorber, self.active))
        )

    @property
    def moliere_radius_mm(self) -> float:
        """Effective RM in mm."""
        return self.radiation_length_mm * SCATTERING_ENERGY / self.critical_energy

    @property
    def inverse_sampling(self) -> float:
        """1 / F_S: thickness of an absorber and an active plate in X0."""
        return (self.absorber_mm + self.active_mm) / self.radiation_length_mm

    @property
    def e_over_mip(self) -> float:
        """Signal of an electron over that of a minimum ionising particle: 1 / (1 + 0.007 (Z_p - Z_a))."""
        return 1 / (1 + 0.007 * (self.absorber.charge - self.active.charge))

    def _depths(self) -> tuple[float, float]:
        """Return the mass per area of the two plates in g/cm^2."""
        return (
            self.absorber.density * self.absorber_mm / 10,
            self.active.density * self.active_mm / 10,
        )

    def _mean(self, absorber: float, active: float) -> float:
        passive, read = self._depths()
        return (passive * absorber + read * active) / (passive + read)


@dataclass(frozen=True)
class Longitudinal:
    """The fluctuating depth profile: ln T and ln alpha are Gaussian and correlated.

    Attributes
    ----------
    log_depth, log_shape
        Means of ln T, the depth of the maximum in X0, and of ln alpha, shape (R,).
    depth_spread, shape_spread
        Their standard deviations.
    correlation
        Between the two.
    """

    log_depth: Floats
    log_shape: Floats
    depth_spread: Floats
    shape_spread: Floats
    correlation: Floats

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return T and alpha of one shower each, shape (R,); alpha is above 1, where T is a maximum."""
        first, second = rng.standard_normal((2, len(self.log_depth)))
        rho = self.correlation
        mixed = rho * first + np.sqrt(np.maximum(1 - rho**2, 0)) * second
        depth: Floats = np.exp(self.log_depth + self.depth_spread * first)
        shape: Floats = np.maximum(np.exp(self.log_shape + self.shape_spread * mixed), 1 + _LEAST_WIDTH)
        return depth, shape


def longitudinal(energy: Floats, calorimeter: SamplingCalorimeter) -> Longitudinal:
    """Return the depth profile of showers of these energies (GeV), shape (R,); appendix A.2 of the paper.

    Raises
    ------
    ConfigError
        For energies below 20 critical energies, where the fits do not hold.
    """
    scaled = np.asarray(energy, np.float64) / calorimeter.critical_energy
    if scaled.size and scaled.min() < 20:
        raise ConfigError(
            f"a shower of {float(np.min(energy)):.3g} GeV is too soft for the parametrisation; the least is "
            f"{20 * calorimeter.critical_energy:.3g} GeV in this calorimeter"
        )
    log = np.log(scaled)
    plates = calorimeter.inverse_sampling
    missing = 1 - calorimeter.e_over_mip
    depth = log - 0.812 - 0.55 * plates - 0.69 * missing
    shape = 0.81 + (0.458 + 2.26 / calorimeter.charge) * log - 0.476 * plates
    return Longitudinal(
        np.log(depth),
        np.log(shape),
        1 / np.maximum(-2.5 + 1.25 * log, 1.0),
        1 / np.maximum(-0.82 + 0.79 * log, 1.0),
        0.784 - 0.023 * log,
    )


@dataclass(frozen=True)
class Radial:
    """The profile across at some depth: a core and a tail, p and 1 - p of 2 r R^2 / (r^2 + R^2)^2.

    Attributes
    ----------
    core, tail
        R_C and R_T in RM: the radii that hold half of either.
    share
        p, the share of the core.
    """

    core: Floats
    tail: Floats
    share: Floats

    def at(self, index: tuple[Ints, ...]) -> Radial:
        """Return the profiles of some entries."""
        return Radial(self.core[index], self.tail[index], self.share[index])

    def contained(self, radius: Floats) -> Floats:
        """Return the share of the energy within a radius in RM."""
        squared = np.asarray(radius, np.float64) ** 2
        within: Floats = self.share * squared / (squared + self.core**2) + (1 - self.share) * squared / (
            squared + self.tail**2
        )
        return within

    def draw(self, rng: np.random.Generator) -> Floats:
        """Return a radius in RM for each entry."""
        in_core, share = rng.random((2, len(self.core)))
        scale = np.where(in_core < self.share, self.core, self.tail)
        radius: Floats = scale * np.sqrt(share / np.maximum(1 - share, 1e-12))
        return radius


def radial(energy: Floats, depth: Floats, calorimeter: SamplingCalorimeter) -> Radial:
    """Return the profiles across, for energies in GeV and depths tau = t / T; appendix A.3 of the paper."""
    log, tau, charge = np.log(energy), np.asarray(depth, np.float64), calorimeter.charge
    plates, missing = calorimeter.inverse_sampling, 1 - calorimeter.e_over_mip
    core = 0.0251 + 0.00319 * log + (0.1162 - 0.000381 * charge) * tau
    rise, fall = -2.59 * (tau - 0.645), (0.3585 + 0.0421 * log) * (tau - 0.645)
    tail = (0.659 - 0.00309 * charge) * (np.exp(rise) + np.exp(fall))
    place = (0.401 + 0.00187 * charge - tau) / (1.313 - 0.0686 * log)
    share = (2.632 - 0.00094 * charge) * np.exp(place - np.exp(place))
    core = core - 0.0203 * missing + 0.0397 * plates * np.exp(-tau)
    tail = tail - 0.14 * missing - 0.495 * plates * np.exp(-tau)
    share = share + missing * (0.348 - 0.642 * plates * np.exp(-((tau - 1) ** 2)))
    return Radial(np.maximum(core, _LEAST_WIDTH / 5), np.maximum(tail, _LEAST_WIDTH), np.clip(share, 0, 1))


@dataclass(frozen=True)
class Spots:
    """Energy deposits of showers.

    Attributes
    ----------
    shower, layer
        Which shower and layer each belongs to, shape (S,).
    energy
        In GeV, shape (S,).
    x, y
        Across the shower in mm, shape (S,).
    """

    shower: Ints
    layer: Ints
    energy: Floats
    x: Floats
    y: Floats


def draw_spots(
    energy: Floats,
    calorimeter: SamplingCalorimeter,
    *,
    num_layers: int,
    layer_mm: float,
    rng: np.random.Generator,
) -> Spots:
    """Draw the deposits of one shower for each energy.

    The energy of a layer is the integral of the shower's own gamma distribution over it, fluctuated by a
    gamma distribution of variance c^2 E GeV (sampling); it is shared evenly by the layer's spots, whose
    number is Poisson distributed about the integral of the profile of spots and at least one.

    Parameters
    ----------
    energy
        Incident energies in GeV, shape (R,); the showers run along the layers' axis.
    calorimeter
        The medium.
    num_layers, layer_mm
        Layers and their thickness.
    rng
        Source of all draws.
    """
    energy = np.asarray(energy, np.float64)
    depth, shape = longitudinal(energy, calorimeter).draw(rng)
    depth_mm = np.linspace(0.0, num_layers * layer_mm, num_layers + 1)
    edges = np.asarray(depth_mm / calorimeter.radiation_length_mm, np.float64)
    mean_RL = energy[:, None] * _in_layers(edges, depth, shape)
    variance = calorimeter.resolution**2
    energy_RL = np.where(mean_RL > 0, rng.gamma(np.maximum(mean_RL / variance, 1e-9)) * variance, 0.0)
    count_RL = rng.poisson(_spots(energy, edges, depth, shape, calorimeter))
    count_RL = np.where(energy_RL > 0, np.maximum(count_RL, 1), 0)
    shower, layer = (
        np.repeat(place, count_RL.ravel()) for place in np.indices(count_RL.shape).reshape(2, -1)
    )
    across = radial(energy[:, None], (edges[1:] + edges[:-1]) / 2 / depth[:, None], calorimeter)
    radius = across.at((shower, layer)).draw(rng) * calorimeter.moliere_radius_mm
    angle = rng.uniform(-np.pi, np.pi, len(radius))
    each_RL = energy_RL / np.maximum(count_RL, 1)
    return Spots(shower, layer, each_RL[shower, layer], radius * np.cos(angle), radius * np.sin(angle))


def _in_layers(edges: Floats, depth: Floats, shape: Floats) -> Floats:
    """Return the share of a gamma profile in each layer, (R, L); beta = (alpha - 1) / T."""
    within: Floats = gammainc(shape[:, None], edges * ((shape - 1) / depth)[:, None])
    shares: Floats = np.diff(within, axis=1)
    return shares


def _spots(
    energy: Floats, edges: Floats, depth: Floats, shape: Floats, calorimeter: SamplingCalorimeter
) -> Floats:
    """Return the mean number of spots in each layer, (R, L); appendix A.4 of the paper."""
    number = 10.3 / calorimeter.resolution * energy**0.959
    charge = calorimeter.charge
    depth = depth * (0.698 + 0.00212 * charge)
    shape = np.maximum(shape * (0.639 + 0.00334 * charge), 1 + _LEAST_WIDTH)
    return number[:, None] * _in_layers(edges, depth, shape)
