"""Flow: noise to constituents along a learned velocity, with a learned number of constituents."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError
from hepfm.generators.base import Encoder, GeneratedRows, Generator, GeneratorSizes
from hepfm.generators.jet_sampler import JetSampler
from hepfm.generators.parallel import for_each
from hepfm.generators.solvers import SOLVERS, SolverName, solve
from hepfm.nn.attention import key_bias
from hepfm.nn.linear import Linear
from hepfm.nn.pet_blocks import PetBlock, init_pet
from hepfm.nn.pooling import row_tokens


class FlowConfig(BaseConfig):
    """Options of `Flow`.

    Attributes
    ----------
    num_blocks
        Attention blocks of the velocity head; 2 in OmniLearned (2510.24066).
    num_heads
        H; divides the backbone's width.
    feedforward_ratio
        Hidden size of the feed-forward parts over D.
    sampler_width
        Hidden size of the networks of the number of constituents and of the kinematics.
    solver
        Solver of the flow: ``euler``, ``heun``, ``midpoint`` or ``adams_bashforth``. It can be changed
        without new training.
    steps
        Its steps from noise to constituents; ``heun`` and ``midpoint`` call the network twice in each.
    batch_size
        Rows that are solved at once; None means 64 on a processor, whose caches hold that, and 1024
        elsewhere. It changes speed and memory only.
    """

    num_blocks: PositiveInt = 2
    num_heads: PositiveInt = 4
    feedforward_ratio: PositiveInt = 2
    sampler_width: PositiveInt = 128
    solver: SolverName = "midpoint"
    steps: PositiveInt = 32
    batch_size: PositiveInt | None = None


class Flow(Generator):
    """Velocity of constituents from the backbone's features of a noised row, and solvers that follow it.

    The function is that of OmniLearned's generator head: a token of the class stands beside those of the row,
    all attend to each other, and each constituent's token is turned into the velocity of its features. The
    backbone itself is not conditioned on the class. A hidden class has a token of its own, unlike in
    OmniLearned; data without labels have no such token, as there.

    Parameters
    ----------
    config
        Options.
    sizes
        Sizes of the network around it.
    """

    Config: ClassVar[type[BaseConfig]] = FlowConfig
    sampling_options = ("solver", "steps", "batch_size")
    needs_time = True

    def __init__(self, config: FlowConfig, sizes: GeneratorSizes) -> None:
        super().__init__()
        width, num_classes = sizes.width, sizes.num_classes
        if width % config.num_heads:
            raise ConfigError(
                f"generator flow: num_heads={config.num_heads} does not divide the backbone's width {width}; "
                "set generator.num_heads to one that does"
            )
        self.config = config
        self.num_classes = num_classes
        self.max_constituents = sizes.max_constituents
        hidden = config.feedforward_ratio * width
        # Plain layers: of the head's parts only the blocks have a dynamic tanh.
        self.label = (
            nn.Sequential(
                nn.Embedding(num_classes + 1, width),
                nn.Linear(width, hidden),
                nn.GELU(),
                nn.Linear(hidden, width),
            )
            if num_classes
            else None
        )
        self.blocks = nn.ModuleList(
            PetBlock(width, num_heads=config.num_heads, ratio=config.feedforward_ratio)
            for _ in range(config.num_blocks)
        )
        self.num_features = sizes.num_features
        self.out = nn.Sequential(
            Linear(width, hidden), nn.GELU(), Linear(hidden, width), nn.Linear(width, sizes.num_features)
        )
        init_pet(self)
        self.sampler = JetSampler(
            num_classes=num_classes,
            num_context=sizes.num_context,
            counted=sizes.counted,
            max_constituents=sizes.max_constituents,
            width=config.sampler_width,
        )

    def velocity(self, features: Features, mask_BN: Tensor, label_B: Tensor) -> Tensor:
        """Return the velocity of each constituent's standardised features, float32 (B, N, F).

        Parameters
        ----------
        features
            The backbone's features of noised rows.
        mask_BN
            Boolean, True = real.
        label_B
            Class numbers; K where the class is hidden. Without classes they are not read.
        """
        row_BKD = row_tokens(features.tokens_BND, features.pooled_BD, features.registers_BKD)
        label = [] if self.label is None else [self.label(label_B)[:, None]]
        x_BND = torch.cat([*label, row_BKD, features.tokens_BND], dim=1)
        num_row = x_BND.shape[1] - mask_BN.shape[1]
        bias = key_bias(F.pad(mask_BN, (num_row, 0), value=True), x_BND.dtype)
        for block in self.blocks:
            x_BND = block(x_BND, bias)
        velocity_BNF: Tensor = self.out(x_BND[:, num_row:])
        return velocity_BNF.float() * mask_BN[..., None]

    @torch.no_grad()
    def generate(
        self,
        encoder: Encoder,
        label_B: Tensor | None,
        context_BC: Tensor | None,
        generator: torch.Generator,
        options: BaseConfig | None = None,
    ) -> GeneratedRows:
        """Generate rows; label K means no class. Numbers of constituents are drawn if not in the context.

        All random numbers are drawn first, for all rows in their order; then rows of similar length are
        solved together, so that ``config.batch_size`` does not change the rows.
        """
        config = self.config if options is None else options
        assert isinstance(config, FlowConfig)
        label_B = self._labels(label_B, context_BC)
        if context_BC is None:
            count_B, context_BC = self.sampler.sample(label_B, generator)
        elif not self.sampler.counted:
            uniform_B = torch.rand(len(label_B), generator=generator, device=label_B.device)
            count_B = self.sampler.count(label_B, context_BC, uniform_B)
        else:
            count_B = context_BC[:, -1].round().long().clamp(1, self.max_constituents)
        mask_BN = torch.arange(int(count_B.max()), device=label_B.device) < count_B[:, None]
        x_BNF = draw_noise(mask_BN, self.num_features, generator)
        size = config.batch_size or (64 if label_B.device.type == "cpu" else 1024)

        def solve_rows(row_R: Tensor) -> None:
            length = int(count_B[row_R].max())
            context_RC = None if context_BC is None else context_BC[row_R]
            mask_RN, label_R = mask_BN[row_R, :length], label_B[row_R]

            def velocity(x_RNF: Tensor, time: float) -> Tensor:
                time_R = x_RNF.new_full((len(x_RNF),), time)
                return self.velocity(encoder.features(x_RNF, mask_RN, context_RC, time_R), mask_RN, label_R)

            start_RNF = x_BNF[row_R, :length]
            x_BNF[row_R, :length] = solve(SOLVERS[config.solver], velocity, start_RNF, config.steps)

        order_B = torch.argsort(count_B, stable=True)
        for_each(solve_rows, torch.split(order_B, size), device=label_B.device)
        return GeneratedRows(x_BNF, mask_BN, context_BC)

    def _labels(self, label_B: Tensor | None, context_BC: Tensor | None) -> Tensor:
        if label_B is not None:
            return label_B
        if context_BC is None:
            raise ValueError("give the class or the context of each row to generate")
        return torch.full((len(context_BC),), self.num_classes, device=context_BC.device)


def draw_noise(mask_BN: Tensor, num_features: int, generator: torch.Generator) -> Tensor:
    """Return standard normal features of real constituents, (B, N, F); padding takes no draws and is zero."""
    noise_BNF = torch.zeros(*mask_BN.shape, num_features, device=mask_BN.device)
    real = int(mask_BN.sum())
    noise_BNF[mask_BN] = torch.randn(real, num_features, generator=generator, device=mask_BN.device)
    return noise_BNF
