"""What the tracks of jets come from (after 2409.12589): charged constituents only."""

from __future__ import annotations

from hepfm.tasks.constituent_origin import ConstituentOrigin


class TrackOrigin(ConstituentOrigin):
    """The origin of every constituent with a track; the model may have learned that of neutral ones too."""

    name = "track_origin"
    version = 1
    title = "Origin of tracks"
    tracks_only = True
