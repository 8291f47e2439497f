"""Checks for components of yours: the laws that this package's own components are held to.

A test of a plug-in is one line. Each function raises `AssertionError` with every law that does not hold::

    from hepfm.testing import check_backbone

    def test_the_backbone_keeps_its_contract():
        check_backbone("deep_sets")
"""

from __future__ import annotations

from hepfm.testing.backbones import check_backbone
from hepfm.testing.objectives import check_objective
from hepfm.testing.readers import check_reader
from hepfm.testing.tasks import check_task

__all__ = ["check_backbone", "check_objective", "check_reader", "check_task"]
