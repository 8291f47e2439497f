"""Jets and hadronic taus as objects of events, with parametrised tags."""

from __future__ import annotations

import numpy as np

from hepfm.core.pairs import pairs_of_events
from hepfm.data.event_objects import EventObjects, make_objects, merge_objects
from hepfm.physics.clustering import Jets
from hepfm.physics.kinematics import delta_r, pseudorapidity
from hepfm.physics.pdg import has_quark
from hepfm.simulate.candidate_jets import cluster_candidates
from hepfm.simulate.labellers.taus import hadronic_taus, nearest_tau
from hepfm.simulate.labels import daughters_of
from hepfm.simulate.object_recipe import BTag, ObjectRecipe, Taus
from hepfm.simulate.particles import Bools, Candidates, Floats, Ints
from hepfm.simulate.pythia import Record

LIGHT, CHARM, BOTTOM = 0, 4, 5
"""Flavours of jets."""


def jet_objects(
    record: Record, candidates: Candidates, recipe: ObjectRecipe, random: np.random.Generator
) -> EventObjects:
    """Return the jets and hadronic taus of a batch of events: every tau is also among the jets."""
    softest = min(recipe.jets.pt_min, recipe.taus.pt_min)
    jets = cluster_candidates(candidates, record.num_events, radius=recipe.jets.radius, min_pt=softest)
    energy, px, py, pz = jets.p4.T
    pt, eta = np.hypot(px, py), pseudorapidity(px, py, pz)
    every = make_objects(jets.event, (pt, eta, np.arctan2(py, px), energy), "jet")
    tau = _tau_tags(record, jets, every, recipe.taus, random)
    charge = jet_charges(jets, candidates)
    taus = every.take(tau & (charge != 0))
    taus = make_objects(
        taus.event, (taus.pt, taus.eta, taus.phi, taus.energy), "tau", charge=charge[tau & (charge != 0)]
    )
    kept = every.take((pt > recipe.jets.pt_min) & (np.abs(eta) < recipe.jets.eta_max))
    return merge_objects(b_tagged(record, kept, recipe.b_tag, random), taus)


def _tau_tags(
    record: Record, jets: Jets, objects: EventObjects, options: Taus, random: np.random.Generator
) -> Bools:
    decays = hadronic_taus(record)
    decays = decays.take(np.hypot(decays.p4[:, 1], decays.p4[:, 2]) > options.visible_pt_min)
    true = nearest_tau(decays, jets, radius=options.radius) >= 0
    tagged = random.random(len(jets)) < np.where(true, options.efficiency, options.mistag)
    return tagged & (objects.pt > options.pt_min) & (np.abs(objects.eta) < options.eta_max)


def jet_charges(jets: Jets, candidates: Candidates) -> Floats:
    """Return the sign of the sum of charge times pt over the candidates of each jet: 0 without tracks."""
    members = jets.members
    weighted = candidates.charge[members.values] * candidates.pt[members.values]
    return np.sign(np.bincount(members.row_index(), weighted, minlength=len(jets)))


def b_tagged(record: Record, jets: EventObjects, options: BTag, random: np.random.Generator) -> EventObjects:
    """Return jets with drawn b tags."""
    flavour = jet_flavours(record, jets, radius=options.radius, hadron_pt_min=options.hadron_pt_min)
    rates = {BOTTOM: options.b, CHARM: options.c, LIGHT: options.light}
    rate = np.zeros(len(jets))
    for number, tag in rates.items():
        rate[flavour == number] = tag(jets.pt[flavour == number])
    rate[np.abs(jets.eta) >= options.eta_max] = 0.0
    return jets.with_b_tags((random.random(len(jets)) < rate).astype(np.float64))


def jet_flavours(record: Record, jets: EventObjects, *, radius: float, hadron_pt_min: float) -> Ints:
    """Return the flavour of jets: `BOTTOM` with a b hadron, `CHARM` with a c hadron alone, `LIGHT`.

    A hadron belongs to the nearest jet of its event, no farther than `radius`. Only the last of the hadrons
    with this quark counts: those that decay to another one with it are left out.
    """
    flavour = np.full(len(jets), LIGHT)
    for quark in (CHARM, BOTTOM):
        hadrons = heavy_hadrons(record, quark, pt_min=hadron_pt_min)
        flavour[_nearest_jets(record, hadrons, jets, radius)] = quark
    return flavour


def heavy_hadrons(record: Record, quark: int, *, pt_min: float) -> Ints:
    """Return the entries of the last hadrons with a quark of one kind, and of at least some pt in GeV."""
    codes, inverse = np.unique(record.pdg, return_inverse=True)
    holds = has_quark(codes, quark)[inverse]
    index = np.flatnonzero(holds & (record.daughter1 > 0))
    owner, daughter = daughters_of(record, index, index)
    last = np.ones(len(record.pdg), bool)
    last[owner[holds[daughter]]] = False
    index = index[last[index]]
    return index[np.hypot(record.px[index], record.py[index]) > pt_min]


def _nearest_jets(record: Record, index: Ints, jets: EventObjects, radius: float) -> Ints:
    """Return the jets that are nearest to some entries and within a radius of them."""
    px, py, pz = record.px[index], record.py[index], record.pz[index]
    eta, phi = pseudorapidity(px, py, pz), np.arctan2(py, px)
    hadron, jet = pairs_of_events(record.event_of(index), jets.event)
    distance = delta_r(eta[hadron], phi[hadron], jets.eta[jet], jets.phi[jet])
    order = np.lexsort((distance, hadron))
    hadron, jet, distance = hadron[order], jet[order], distance[order]
    first = np.ones(len(hadron), bool)
    first[1:] = np.diff(hadron) != 0
    return jet[first & (distance < radius)]
