"""Which features each constituent has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn


class Presence(nn.Module):
    """Tell which features constituents have, by what the feature set declares; it has no weights.

    Parameters
    ----------
    names
        The F features.
    exist
        Features that only some constituents have, each with those of which one is not zero for these.
    groups
        Numbers of the features of each group that data may lack.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        exist: Mapping[str, Collection[str]],
        groups: Mapping[str, Sequence[int]],
    ) -> None:
        super().__init__()
        place = {name: number for number, name in enumerate(names)}
        rules: dict[tuple[int, ...], list[int]] = {}
        for name, flags in exist.items():
            rules.setdefault(tuple(sorted(place[flag] for flag in flags)), []).append(place[name])
        self.rules = tuple((list(flags), features) for flags, features in rules.items())
        self.groups = {name: list(numbers) for name, numbers in groups.items()}

    def forward(
        self,
        physical_BNF: Tensor,
        mask_BN: Tensor,
        *,
        absent: Collection[str] = (),
        kept_BF: Tensor | None = None,
    ) -> Tensor:
        """Return which features constituents have, boolean (B, N, F), false where the mask is.

        Parameters
        ----------
        physical_BNF, mask_BN
            Features in physical units, and which constituents are real.
        absent
            Groups that the data lack.
        kept_BF
            1 for features that were not dropped for a row; None for all.
        """
        present_BNF = mask_BN[..., None].expand(physical_BNF.shape).clone()
        for flags, features in self.rules:
            has_BN1 = (physical_BNF[..., flags] != 0).any(-1, keepdim=True)
            present_BNF[..., features] = present_BNF[..., features] & has_BN1
        for name in absent:
            present_BNF[..., self.groups.get(name, [])] = False
        return present_BNF if kept_BF is None else present_BNF & (kept_BF > 0)[:, None]
