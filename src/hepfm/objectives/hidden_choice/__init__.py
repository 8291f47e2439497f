"""Which constituents of a row are hidden. One file each, one row here."""

from hepfm.core.registry import Registry

HIDDEN_CHOICE = Registry(
    "hidden_choice",
    {
        "random": ("hepfm.objectives.hidden_choice.random:RandomChoice", "any constituents"),
        "pt_fraction": (
            "hepfm.objectives.hidden_choice.pt_fraction:PtFractionChoice",
            "any constituents that together have a fraction of the pt",
        ),
        "neighbours": (
            "hepfm.objectives.hidden_choice.neighbours:NeighboursChoice",
            "a constituent and those nearest to it in eta and phi",
        ),
        "radius": (
            "hepfm.objectives.hidden_choice.radius:RadiusChoice",
            "all constituents within a radius of one of them",
        ),
        "subjets": (
            "hepfm.objectives.hidden_choice.subjets:SubjetsChoice",
            "all constituents of some subjets",
        ),
        "levels": (
            "hepfm.objectives.hidden_choice.levels:Levels",
            "of some events any objects, of some all generator or all reconstructed ones",
        ),
        "levels_schedule": (
            "hepfm.objectives.hidden_choice.levels_schedule:LevelsSchedule",
            "any objects of events first, later all of one level",
        ),
    },
)
