"""Results compared: sections of comparable results, differences with errors, figures, tables and one page."""
