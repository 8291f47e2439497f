"""Readers of published data formats, one file each, one row in `hepfm.data.READERS`."""
