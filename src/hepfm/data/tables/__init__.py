"""Columns of files of any layout, in pieces, without regard to what they mean."""
