"""Options of a generator that can be changed without new training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepfm.core.config import Component, Config, validate
from hepfm.core.errors import ConfigError


def sampling_config(generator: Component, options: Mapping[str, Any], *, where: str) -> Config:
    """Return a generator's config with options laid over it that need no new training; None changes nothing.

    Parameters
    ----------
    generator
        The generator's component.
    options
        The options by their names.
    where
        The verb that they are options of, for messages.

    Raises
    ------
    ConfigError
        When the generator has no such option, or it cannot have such a value.
    """
    given = {key: value for key, value in options.items() if value is not None}
    fixed = [
        key
        for key in given
        if key in type(generator.config).model_fields and key not in generator.cls.sampling_options
    ]
    if fixed:
        raise ConfigError(
            f"{where}: {', '.join(fixed)} of generator {generator.name!r} is trained and cannot be changed; "
            f"what can: {', '.join(generator.cls.sampling_options)}"
        )
    return validate(type(generator.config), {**generator.config.model_dump(), **given}, where=where)
