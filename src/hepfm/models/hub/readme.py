"""The page of a model on the Hugging Face hub: its card, with front matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

README = "README.md"


def readme(config: Mapping[str, Any], card: str, *, repository: str, licence: str | None) -> str:
    """Return the page of a model.

    Parameters
    ----------
    config
        The model's config.
    card
        Its card.
    repository
        ``owner/name``.
    licence
        By its name on the hub; None where none was told.
    """
    front = {
        "license": licence,
        "library_name": "hepfm",
        "tags": ["hepfm", "high-energy-physics", *_tags(config)],
    }
    # JSON is YAML, and needs no care for what a name may hold.
    lines = [f"{key}: {json.dumps(value)}" for key, value in front.items() if value is not None]
    return "\n".join(["---", *lines, "---", "", card.rstrip(), "", _USE.format(repository=repository)])


def _tags(config: Mapping[str, Any]) -> list[str]:
    parts = [config["backbone"], config.get("generator"), (config.get("tokenizer") or {}).get("spec")]
    return [str(part["name"]) for part in parts if part]


_USE = """\
## Use

```
pip install 'hepfm[hub]'
hepfm pull hf://{repository} -o model
hepfm predict model STORE -o scores.parquet
```
"""
