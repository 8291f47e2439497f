"""Decays of events found as sets of objects: what is right of objects, of sets and of whole events.

Found segments are matched with true ones of the same tag, one with one, so that the sum of their
intersections over unions is the greatest (Hungarian method). An object is right in the found segment that its
true one is matched with, and one of no true segment is right in none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from hepfm.core.ragged import Array, Ragged
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.partitions import PairCounts
from hepfm.metrics.predictions import FloatArray, IntArray

NONE = -1
"""Number of the segment of objects that are in none."""


@dataclass(frozen=True)
class ObjectSets:
    """Sets of objects of R events.

    Attributes
    ----------
    segment
        Number of the segment of each object within its event, `NONE` for none; lists of int64.
    tag
        Tag of each segment, from 1, shape (R, S); 0 for a segment that is not there, which has no objects.
    """

    segment: Ragged
    tag: IntArray


@dataclass(frozen=True)
class SegmentCounts:
    """Counts of each of R events.

    Attributes
    ----------
    true_RC, found_RC, right_RC
        Objects of each class, of each class by what was found, and those of them that are right; class 0 is
        none, then come the tags.
    segments_R
        True segments.
    iou_R, dice_R
        Sums over true segments of intersection over union, and of Dice's coefficient, with their match.
    pairs
        Pairs of objects of one segment, those of none being one set too.
    """

    true_RC: IntArray
    found_RC: IntArray
    right_RC: IntArray
    segments_R: IntArray
    iou_R: FloatArray
    dice_R: FloatArray
    pairs: PairCounts

    @classmethod
    def of(cls, truth: ObjectSets, found: ObjectSets, *, tags: int) -> SegmentCounts:
        """Compare two segmentations of the same objects, with tags up to `tags`."""
        iou_RSF, dice_RSF = _overlaps(truth, found)
        match_RS = _matches(np.where(truth.tag[:, :, None] == found.tag[:, None], iou_RSF, 0.0))
        row = truth.segment.row_index()
        true, said = truth.segment.values, found.segment.values
        right = np.where(
            true == NONE, said == NONE, (said >= 0) & (match_RS[row, np.maximum(true, 0)] == said)
        )
        rows = len(truth.tag)
        of_true, of_found = (_class(one, row) for one in (truth, found))
        return cls(
            _count(row, of_true, rows, tags),
            _count(row, of_found, rows, tags),
            _count(row[right], of_true[right], rows, tags),
            (truth.tag > 0).sum(1),
            _of_matches(iou_RSF, match_RS),
            _of_matches(dice_RSF, match_RS),
            PairCounts.of(truth.segment, found.segment),
        )


def _class(of: ObjectSets, row: IntArray) -> IntArray:
    number = of.segment.values
    return np.where(number == NONE, 0, of.tag[row, np.maximum(number, 0)])


def _count(row: IntArray, classes: IntArray, rows: int, tags: int) -> IntArray:
    out = np.zeros((rows, tags + 1), np.int64)
    np.add.at(out, (row, classes), 1)
    return out


def _overlaps(truth: ObjectSets, found: ObjectSets) -> tuple[FloatArray, FloatArray]:
    """Return intersection over union and Dice's coefficient of all pairs, (R, S, F)."""
    rows, row = len(truth.tag), truth.segment.row_index()
    true, said = truth.segment.values, found.segment.values
    both = np.zeros((rows, truth.tag.shape[1], found.tag.shape[1]))
    inside = (true != NONE) & (said != NONE)
    np.add.at(both, (row[inside], true[inside], said[inside]), 1)
    sizes = []
    for of in (truth, found):
        size = np.zeros(of.tag.shape)
        there = of.segment.values != NONE
        np.add.at(size, (row[there], of.segment.values[there]), 1)
        sizes.append(size)
    total = sizes[0][:, :, None] + sizes[1][:, None]
    return both / np.maximum(total - both, 1), 2 * both / np.maximum(total, 1)


def _matches(score_RSF: FloatArray) -> IntArray:
    """Return the found segment of each true one, (R, S); a number below `NONE` where none overlaps."""
    out = np.full(score_RSF.shape[:2], NONE - 1)
    for row in np.flatnonzero(score_RSF.any((1, 2))):
        true, said = linear_sum_assignment(score_RSF[row], maximize=True)
        good = score_RSF[row, true, said] > 0
        out[row, true[good]] = said[good]
    return out


def _of_matches(values_RSF: FloatArray, match_RS: IntArray) -> FloatArray:
    found = np.take_along_axis(values_RSF, np.maximum(match_RS, 0)[..., None], axis=2)[..., 0]
    return np.where(match_RS >= 0, found, 0.0).sum(1)


def object_accuracy_statistic(counts: SegmentCounts) -> Statistic:
    """Return the fraction of objects that are right."""
    return _ratio(counts.right_RC.sum(1), counts.true_RC.sum(1))


def class_efficiency_statistic(counts: SegmentCounts, number: int) -> Statistic:
    """Return the fraction of the objects of a class that are right."""
    return _ratio(counts.right_RC[:, number], counts.true_RC[:, number])


def class_purity_statistic(counts: SegmentCounts, number: int) -> Statistic:
    """Return the fraction of the objects that are put into a class that are right."""
    return _ratio(counts.right_RC[:, number], counts.found_RC[:, number])


def event_efficiency_statistic(counts: SegmentCounts) -> Statistic:
    """Return the fraction of events with a true segment whose objects are all right."""
    with_any = counts.segments_R > 0
    return _ratio(with_any & _right(counts), with_any)


def correct_events_statistic(counts: SegmentCounts) -> Statistic:
    """Return the fraction of all events whose objects are all right."""
    return _ratio(_right(counts), np.ones(len(counts.segments_R)))


def iou_statistic(counts: SegmentCounts) -> Statistic:
    """Return the mean intersection over union of true segments with their match."""
    return _ratio(counts.iou_R, counts.segments_R)


def dice_statistic(counts: SegmentCounts) -> Statistic:
    """Return the mean coefficient ``2 |A and B| / (|A| + |B|)`` of true segments with their match."""
    return _ratio(counts.dice_R, counts.segments_R)


def _right(counts: SegmentCounts) -> Array:
    return counts.right_RC.sum(1) == counts.true_RC.sum(1)


def _ratio(part: Array, whole: Array) -> Statistic:
    part, whole = part.astype(np.float64), whole.astype(np.float64)

    def statistic(weights: FloatArray) -> float:
        total = float(whole @ weights)
        return float(part @ weights) / total if total > 0 else float("nan")

    return statistic
