"""Put the catalogue of public data sets into docs/data.md, between its markers.

python docs/scripts/datasets_page.py
"""

from __future__ import annotations

import re
from pathlib import Path

from hepfm.data.public.catalogue import catalogue

PAGE = Path(__file__).parents[1] / "data.md"


def table() -> str:
    """Return one row for each data set."""
    lines = [
        "| name | data set | place | paper | reader | what a reader must know | tested on |",
        "|---" * 7 + "|",
    ]
    for name, one in catalogue().items():
        reader = f"`{one.reader}`" if one.reader else "[a map](own_data.md)"
        lines.append(
            f"| `{name}` | {one.title} | {one.place} | {one.paper or ''} | {reader} | {one.traps} | {one.tested} |"
        )
    return "\n".join(lines) + "\n"


def put(text: str) -> str:
    """Return the page with the table."""
    pattern = r"(<!-- data sets: .*? -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}\n{table()}\n{found[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
