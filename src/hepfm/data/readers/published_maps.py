"""Published formats that a map describes in full."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hepfm.core import config
from hepfm.core.config import read_yaml, validate
from hepfm.data.maps import published
from hepfm.data.maps.config import MapConfig
from hepfm.data.readers.mapping import MappingReader
from hepfm.data.remote import DataFile


class _Mapped(MappingReader):
    """A reader with a map of its own."""

    name: ClassVar[str]
    doi: ClassVar[str]

    class Config(config.Config):
        """No options."""

    def __init__(self, config: Config) -> None:
        path = Path(published.__path__[0]) / f"{self.name}.yaml"
        super().__init__(validate(MapConfig, read_yaml(path), where=path.name))

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {**super().source(path), "doi": self.doi}


class QuarkGluonReader(_Mapped):
    """Reads ``QG_jets*.npz`` of Pythia and Herwig."""

    name = "quark_gluon"
    doi = "10.5281/zenodo.3164691, 10.5281/zenodo.3066475"
    endings: ClassVar[tuple[str, ...]] = (".npz",)


class AtlasTopReader(_Mapped):
    """Reads the files of the ATLAS top tagging open data; jets have weights."""

    name = "atlas_top"
    doi = "10.7483/OPENDATA.ATLAS.SOAY.LABE"
    endings: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")


class LhcoFeaturesReader(_Mapped):
    """Reads ``events_anomalydetection_v2.features.h5`` of the LHC Olympics; rows are events."""

    name = "lhco_features"
    doi = "10.5281/zenodo.4536377"
    endings: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")
