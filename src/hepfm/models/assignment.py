"""Roles of objects by what a head of assignments says of an event."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from hepfm.backbones.base import Features
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field
from hepfm.heads.assignment import AssignmentHead
from hepfm.nn.attention import masked_logit
from hepfm.objectives.resonances import allowed, daughter_types
from hepfm.physics.assign_roles import assign_roles

TYPES = "object_type"
"""Field of the types of objects, by which a daughter is looked for among those it is measured as."""


def roles_of(
    head: AssignmentHead, features: Features, mask_BN: Tensor, types_BN: Tensor, *, role: Field, types: Field
) -> Ragged:
    """Return the number of the role of each object, int8, as lists of the rows of a batch.

    Parameters
    ----------
    head
        The head.
    features
        What the backbone made of the events.
    mask_BN
        Which objects are real.
    types_BN
        Their types.
    role, types
        The fields of roles and types.
    """
    topology, classes = head.topology, daughter_types(types)
    roles = topology.roles(role.classes)
    may, scores = [], []
    for branch, part in zip(topology.branches, head.parts(features, mask_BN), strict=True):
        allowed_ = allowed(branch, types_BN, mask_BN, classes)
        logits_BM = part.joint.masked_fill(~allowed_, masked_logit(part.joint.dtype)).flatten(1)
        may.append(allowed_.cpu().numpy())
        scores.append(logits_BM.log_softmax(1).view_as(part.joint).cpu().numpy())
    lengths = mask_BN.sum(1).cpu().numpy()
    found = np.zeros(mask_BN.shape, np.int8)
    for row in range(len(lengths)):
        found[row] = assign_roles(topology, roles, [m[row] for m in may], [s[row] for s in scores])
    return Ragged.from_lengths(found[mask_BN.cpu().numpy()], lengths)
