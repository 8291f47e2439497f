"""Write the table of tokenizers in docs/tokens.md from docs/data/omnijet_tokenizers.csv.

The file is made by docs/scripts/omnijet_evidence.py.
"""

from __future__ import annotations

import csv
from pathlib import Path

DOCS = Path(__file__).parents[1]
START, END = "<!-- tokenizers: made by docs/scripts/omnijet_table.py -->\n", "<!-- end -->\n"
COLUMNS = ("pt", "mass", "tau21", "tau32")


def table() -> str:
    """Return the table as Markdown."""
    with (DOCS / "data" / "omnijet_tokenizers.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [
        "| tokenizer, codes | codes used | perplexity | pT | mass (GeV) | tau21 | tau32 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{float(row[f'{name}_median']):+.3g}, {float(row[f'{name}_iqr']):.3g}" for name in COLUMNS]
        use = f"{100 * float(row['code_use']):.0f} %"
        lines.append(
            " | ".join([f"| {row['tokenizer']}", use, f"{float(row['perplexity']):.0f}", *cells]) + " |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Replace the table between its marks."""
    page = DOCS / "tokens.md"
    before, rest = page.read_text(encoding="utf-8").split(START)
    _, after = rest.split(END)
    page.write_text(f"{before}{START}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
