"""Network: standardisation, tokenizer, backbone, heads and generator; what a model directory holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features, Modulation, Placeholder
from hepfm.core.batch import Batch
from hepfm.core.config import Component, Config
from hepfm.data.clustering import Clustering
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.embeddings.base import InputEmbedding, with_flags
from hepfm.generators.base import GeneratedRows, Generator, GeneratorSizes
from hepfm.groupings.base import Grouping, Groups
from hepfm.networks.specs import GeneratorSpec, HeadSpec, Inputs, TokenizerSpec
from hepfm.nn.conditioning import Conditioning
from hepfm.nn.feature_dropout import FeatureDropout
from hepfm.nn.momenta import relative_momenta
from hepfm.nn.presence import Presence
from hepfm.nn.standardize import Standardize
from hepfm.tokenizers.base import Tokenizer


class Network(nn.Module):
    """Physical features in, features and head outputs out.

    Parameters
    ----------
    standardize
        The layer from physical features to network inputs; its constants are buffers.
    backbone
        The backbone.
    feature_set
        What the physical features are.
    context
        Features of the whole row that the backbone is conditioned on; None for none.
    """

    input_scale_F: Tensor
    input_shift_F: Tensor
    """From standardised features to the backbone's input: 1 and 0 except for a backbone that was trained with
    other constants than the network has now."""

    def __init__(
        self,
        standardize: Standardize,
        backbone: Backbone,
        *,
        feature_set: FeatureSet,
        context: ContextSet | None = None,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self.backbone = backbone
        self.feature_set = feature_set
        self.context = context
        self.register_buffer("input_scale_F", torch.ones(len(feature_set)))
        self.register_buffer("input_shift_F", torch.zeros(len(feature_set)))
        self.conditioning = (
            Conditioning(
                backbone.width, num_context=len(context), network=backbone.context_network(len(context))
            )
            if context
            else None
        )
        self.feature_dropout = FeatureDropout({}, 0.0)
        self.heads = nn.ModuleDict()
        self.presence: Presence | None = None
        self.grouping: Grouping | None = None
        self.tokenizer: Tokenizer | None = None
        self.generator: Generator | None = None
        self.head_specs: dict[str, HeadSpec] = {}
        self.embedding_spec: Component | None = None
        self.grouping_spec: Component | None = None
        self.tokenizer_spec: TokenizerSpec | None = None
        self.generator_spec: GeneratorSpec | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the physical features."""
        return self.feature_set.names

    def add_head(self, spec: HeadSpec) -> None:
        """Add a new head named after the field it predicts, replacing one of the same name."""
        self.heads[spec.field.name] = spec.build(self.backbone.width)
        self.head_specs[spec.field.name] = spec

    def drop_heads(self) -> None:
        """Remove every head."""
        self.heads.clear()
        self.head_specs.clear()

    def add_time(self) -> None:
        """Let the backbone be conditioned on the time of a noised row."""
        if self.conditioning is None:
            self.conditioning = Conditioning(self.backbone.width)
        self.conditioning.add_time(self.backbone.width)

    def add_tokenizer(self, spec: TokenizerSpec, tokenizer: Tokenizer | None = None) -> None:
        """Set the tokenizer; a new one if none is given."""
        self.tokenizer_spec = spec
        self.tokenizer = tokenizer or spec.build(self.feature_names)
        self.backbone.massless = self.inputs == "decoded"

    def add_embedding(self, spec: Component) -> None:
        """Let an embedding take the place of the backbone's own."""
        features = self.feature_set
        embedding: InputEmbedding = spec.cls(
            spec.config, width=self.backbone.width, num_features=len(features.names)
        )
        self.embedding_spec = spec
        self.presence = Presence(features.names, exist=features.existence, groups=features.all_groups)
        self.backbone.replace_embedding(embedding)

    def add_grouping(self, spec: Component) -> None:
        """Let the backbone's tokens be groups of constituents."""
        self.grouping_spec = spec
        self.grouping = spec.cls(spec.config, width=self.backbone.width, feature_names=self.feature_names)

    @property
    def clusterings(self) -> tuple[Clustering, ...]:
        """Subjets that batches must have for the grouping."""
        spec = self.grouping_spec
        return spec.cls.clusterings(spec.config) if spec else ()

    def groups(self, batch: Batch) -> Groups | None:
        """Return the groups of constituents that are the backbone's tokens; None for constituents."""
        if self.grouping is None:
            return None
        return self.grouping.assign(batch.features_BNF, batch.mask_BN, batch.subjets)

    def add_generator(self, spec: GeneratorSpec) -> None:
        """Set a new generator, and add the conditioning on time if it needs it."""
        if spec.generator.cls.needs_time:
            self.add_time()
        self.generator_spec = spec
        sizes = GeneratorSizes(
            width=self.backbone.width,
            num_features=len(self.feature_names),
            num_context=self.num_context,
            counted=self.context.counted if self.context else True,
            num_classes=len(spec.label.classes) if spec.label else 0,
            num_codes=self.tokenizer.num_codes if self.tokenizer else 0,
            max_constituents=spec.max_constituents,
        )
        self.generator = spec.generator.cls(spec.generator.config, sizes)

    def equip(
        self,
        *,
        heads: Iterable[HeadSpec] = (),
        tokenizer: TokenizerSpec | None = None,
        generator: GeneratorSpec | None = None,
    ) -> None:
        """Add what the network lacks; heads of the same field and an equal tokenizer or generator stay."""
        if tokenizer is not None and tokenizer != self.tokenizer_spec:
            self.add_tokenizer(tokenizer)
        for head in heads:
            if head.field.name not in self.heads:
                self.add_head(head)
        if generator is not None and (self.generator is None or generator != self.generator_spec):
            self.add_generator(generator)

    @property
    def num_context(self) -> int:
        """C, number of context features of a row; 0 for none."""
        return len(self.context) if self.context else 0

    def visible_context(
        self, context_BC: Tensor | None, mask_BN: Tensor, p4_BN4: Tensor | None
    ) -> Tensor | None:
        """Return the context of rows of which only the constituents in the mask are shown.

        It is computed from these constituents; a context that does not follow from constituents is unchanged.
        """
        if self.context is None or self.context.visible is None or context_BC is None:
            return context_BC
        if p4_BN4 is None:
            raise ValueError(f"context {self.context.name!r} of visible constituents needs four-momenta")
        return self.context.visible(p4_BN4, mask_BN)

    @torch.no_grad()
    def restandardize(self, centre_F: Tensor, scale_F: Tensor) -> None:
        """Replace the constants of the features; except for clipping the backbone's input stays the same."""
        layer = self.standardize
        ratio_F = layer.scale_F / scale_F
        self.input_shift_F.add_(self.input_scale_F * layer.scale_F * (centre_F - layer.centre_F))
        self.input_scale_F.mul_(ratio_F)
        layer.centre_F.copy_(centre_F)
        layer.scale_F.copy_(scale_F)

    @property
    def inputs(self) -> Inputs:
        """Input of the backbone for each constituent."""
        return self.tokenizer_spec.inputs if self.tokenizer_spec else "features"

    @torch.no_grad()
    def encode(self, batch: Batch) -> Tensor:
        """Return the tokens of a batch, int64 (B, N), negative for padding; always in single precision."""
        if self.tokenizer is None:
            raise ValueError("this network has no tokenizer")
        with torch.autocast(batch.mask_BN.device.type, enabled=False):
            x_BNF = self.standardize(batch.features_BNF, batch.mask_BN)
            ids_BN: Tensor = self.tokenizer.encode(x_BNF, batch.mask_BN)
        return ids_BN

    def decode(self, codes_BN: Tensor) -> Tensor:
        """Return the standardised features of tokens, (B, N, F), in single precision as they were encoded."""
        assert self.tokenizer is not None
        with torch.autocast(codes_BN.device.type, enabled=False):
            x_BNF: Tensor = self.tokenizer.decode(codes_BN)
        return x_BNF

    def features(
        self,
        batch: Batch,
        *,
        time_B: Tensor | None = None,
        codes_BN: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
        placeholder: Placeholder | None = None,
        groups: Groups | None = None,
        modulation: Modulation | None = None,
    ) -> Features:
        """Return the backbone's features of a batch.

        Parameters
        ----------
        batch
            The rows.
        time_B
            Time of the noise of a batch that is noised.
        codes_BN
            Their tokens, if known already; otherwise a network that reads tokens computes them.
        prefix_BKD
            Further vectors in front of each row, after those of context and time.
        causal
            Whether constituents see only those before them.
        placeholder
            Constituents that a learned vector stands for; they come after those that are shown.
        groups
            For a network with a grouping: the only groups that are its tokens; None for those of the batch.
        modulation
            Factor and offset of embedded constituents.
        """
        kept_BF = self.feature_dropout.draw(batch.features_BNF)
        physical_BNF, p4_BN4 = batch.features_BNF, batch.p4_BN4
        physical_BNF = physical_BNF if kept_BF is None else physical_BNF * kept_BF[:, None]
        shown_BN = batch.mask_BN if placeholder is None else placeholder.read(batch.mask_BN)
        if self.inputs == "features":
            x_BNF = self._inputs(self.standardize(physical_BNF, shown_BN), shown_BN)
            if self.presence is not None:
                absent = batch.absent | self.feature_set.absent
                present_BNF = self.presence(physical_BNF, shown_BN, absent=absent, kept_BF=kept_BF)
                x_BNF = with_flags(x_BNF, present_BNF)
        else:
            x_BNF = self.encode(replace(batch, mask_BN=shown_BN)) if codes_BN is None else codes_BN
            if self.inputs == "decoded":
                decoded_BNF = self.decode(x_BNF)
                physical_BNF = self.standardize.inverse(decoded_BNF, shown_BN)
                # The measured momenta contain more than the token: pairs are those of decoded constituents.
                p4_BN4 = relative_momenta(physical_BNF, shown_BN, self.feature_names)
                x_BNF = self._inputs(decoded_BNF, shown_BN)
        prefix_BKD = self.prefix(batch.context_BC, time_B, prefix_BKD)
        groups = groups or self.groups(batch)
        if groups is not None:
            if causal or placeholder is not None or modulation is not None:
                raise ValueError(
                    "tokens of groups have neither an order nor placeholders nor noise of their own: causal, "
                    "placeholder and modulation are for networks of constituents; use grouping=particles"
                )
            return self._group_features(
                x_BNF, replace(batch, p4_BN4=p4_BN4), physical_BNF, groups, prefix_BKD
            )
        features: Features = self.backbone(
            x_BNF,
            batch.mask_BN,
            p4_BN4,
            physical_BNF=physical_BNF,
            prefix_BKD=prefix_BKD,
            causal=causal,
            placeholder=placeholder,
            modulation=modulation,
        )
        return features

    def _group_features(
        self, x_BNF: Tensor, batch: Batch, physical_BNF: Tensor, groups: Groups, prefix_BKD: Tensor | None
    ) -> Features:
        """Return features of groups: momenta are the sums of their members', physical features the means."""
        assert self.grouping is not None
        h_BND = self.backbone.embed(x_BNF, batch.mask_BN, physical_BNF=physical_BNF)
        features = self.backbone.encode(
            self.grouping(h_BND, batch.features_BNF, groups) * groups.mask_BG[..., None],
            groups.mask_BG,
            None if batch.p4_BN4 is None else groups.sums(batch.p4_BN4),
            physical_BNF=groups.means(physical_BNF),
            prefix_BKD=prefix_BKD,
        )
        return replace(features, mask_BN=groups.mask_BG)

    def _inputs(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the backbone's input from standardised features; see `input_scale_F`."""
        return (x_BNF * self.input_scale_F + self.input_shift_F) * mask_BN[..., None]

    def prefix(
        self, context_BC: Tensor | None, time_B: Tensor | None, prefix_BKD: Tensor | None
    ) -> Tensor | None:
        """Return the tokens in front of each row, (B, K, D): of context and time, then those given."""
        parts = [] if prefix_BKD is None else [prefix_BKD]
        if self.conditioning is not None:
            condition_BKD = self.conditioning(context_BC, time_B)
            parts = parts if condition_BKD is None else [condition_BKD, *parts]
        return torch.cat(parts, dim=1) if parts else None

    def physical(self, x_BNF: Tensor, mask_BN: Tensor, context_BC: Tensor | None = None) -> Batch:
        """Return a batch of standardised features, with momenta in the jet's frame if possible."""
        features_BNF = self.standardize.inverse(x_BNF, mask_BN)
        return Batch(
            features_BNF=features_BNF,
            mask_BN=mask_BN,
            rows_B=torch.arange(mask_BN.shape[0], device=mask_BN.device),
            p4_BN4=relative_momenta(features_BNF, mask_BN, self.feature_names),
            context_BC=context_BC,
        )

    @torch.no_grad()
    def generate(
        self,
        label_B: Tensor | None,
        context_BC: Tensor | None,
        generator: torch.Generator,
        *,
        options: Config | None = None,
    ) -> GeneratedRows:
        """Generate rows; see `hepfm.generators.base.Generator.generate`."""
        if self.generator is None:
            raise ValueError("this network has no generator")
        return self.generator.generate(_Encoder(self), label_B, context_BC, generator, options)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the output of every head by name."""
        features = self.features(batch)
        return {name: head(features, features.token_mask(batch.mask_BN)) for name, head in self.heads.items()}


class _Encoder:
    """The network as a generator calls it."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def features(
        self, x_BNF: Tensor, mask_BN: Tensor, context_BC: Tensor | None, time_B: Tensor | None
    ) -> Features:
        """Return the features of standardised constituents."""
        return self.network.features(self.network.physical(x_BNF, mask_BN, context_BC), time_B=time_B)

    def start_decoding(self, start_BD: Tensor, context_BC: Tensor | None, max_length: int) -> _Decoding:
        """Start rows of up to `max_length` tokens."""
        prefix_BKD = self.network.prefix(context_BC, None, start_BD[:, None])
        assert prefix_BKD is not None
        return _Decoding(self.network, prefix_BKD, max_length)


class _Decoding:
    """Growing rows: the backbone's cache, and the tokenizer's if the backbone reads decoded features."""

    def __init__(self, network: Network, prefix_BKD: Tensor, max_length: int) -> None:
        assert network.tokenizer is not None
        self.backbone, self.tokenizer = network.backbone, network.tokenizer
        rows, first = prefix_BKD.shape[:2]
        self.cache = self.backbone.start_cache(rows, first + max_length)
        self.first_BD = self.backbone.extend(None, self.cache, prefix_BKD)[:, -1]
        self.decoding = (
            self.tokenizer.start_decoder(rows, max_length) if network.inputs == "decoded" else None
        )

    def step(self, codes_B: Tensor) -> Tensor:
        """Add a constituent to each row; return its features, (B, D)."""
        x = codes_B[:, None] if self.decoding is None else self.decoding.step(codes_B)[:, None]
        return self.backbone.extend(x, self.cache)[:, -1]

    def keep(self, index_R: Tensor) -> None:
        """Keep only some of the rows."""
        for cache in (*self.cache, *((self.decoding,) if self.decoding else ())):
            cache.keep(index_R)

    def decoded(self, codes_BN: Tensor) -> Tensor:
        """Return the standardised features of whole rows of tokens, (B, N, F)."""
        x_BNF: Tensor = self.tokenizer.decode(codes_BN)
        return x_BNF
