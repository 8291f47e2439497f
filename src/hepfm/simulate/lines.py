"""Lines of Pythia's settings, as Pythia itself reads them."""

from __future__ import annotations

from hepfm.core.errors import ConfigError


def setting(line: str) -> tuple[str, str]:
    """Return name, in small letters, and value of a line; two empty texts for a comment.

    Pythia takes a line that begins with neither letter nor digit for a comment, does without the equals sign,
    and ignores what follows the value.

    >>> setting("Beams:LHEF = events.lhe ! of the first run"), setting("! HardQCD:all = on")
    (('beams:lhef', 'events.lhe'), ('', ''))
    """
    text = line.strip()
    if not text or not text[0].isalnum():
        return "", ""
    name, _, rest = text.replace("=", " ", 1).partition(" ")
    rest = rest.strip()
    value = rest.partition("}")[0] + "}" if rest.startswith("{") else next(iter(rest.split()), "")
    return name.lower(), value


def refuse_seed(line: str, *, where: str) -> None:
    """Raise `ConfigError` for a line that sets random numbers, which follow from the recipe's seed."""
    if setting(line)[0].startswith("random:"):
        raise ConfigError(
            f"{where}: leave out {line.strip()!r}; say seed: NUMBER in the recipe, from which each chunk "
            "gets its own"
        )
