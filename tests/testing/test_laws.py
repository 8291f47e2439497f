"""Every law of `hepfm.testing` is broken by a component with the fault that it is for, and by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.core.registry import Registry
from hepfm.core.schema import Field, Level
from hepfm.data.readers.top_tagging import TopTaggingReader
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.objectives.base import View, row_weights
from hepfm.objectives.loss import Loss, mean
from hepfm.objectives.supervised import Supervised
from hepfm.tasks.result_folder import read_scores
from hepfm.tasks.top_tagging import TopTagging
from hepfm.testing import backbones, check_backbone, check_objective, check_reader, check_task
from hepfm.testing import objectives as objective_laws
from hepfm.testing import readers as reader_laws
from hepfm.testing import tasks as task_laws

Check = Callable[[], None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Make a class the component called ``"faulty"`` of every registry."""
    load = Registry.load

    def add(cls: type) -> None:
        monkeypatch.setattr(
            Registry, "load", lambda self, name: cls if name == "faulty" else load(self, name)
        )

    return add


def broken(check: Check) -> set[str]:
    """Return the names of the laws that a check found broken."""
    with pytest.raises(AssertionError) as caught:
        check()
    lines = str(caught.value).splitlines()[1:]
    return {line.strip().split(":")[0] for line in lines if line.startswith("  ") and line[2] != " "}


def names_of(laws: tuple[Any, ...]) -> set[str]:
    return {law.__name__ for law in laws}


# -- backbones


class WidthConfig(Config):
    width: int = 8


class Sound(Backbone):
    """A backbone without a fault, for faults to be put in."""

    Config = WidthConfig
    supports = frozenset({"prefix", "placeholder"})
    own_parts = frozenset({"alone"})

    def __init__(self, config: WidthConfig, *, feature_names: Any) -> None:
        super().__init__()
        self.width = config.width
        self.alone = nn.Sequential(nn.Linear(len(feature_names), self.width), nn.GELU())
        self.together = nn.Sequential(nn.Linear(2 * self.width, self.width), nn.GELU())

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        embedded: Tensor = self.alone(x_BNF)
        return embedded

    def encode(
        self, h_BND: Any, mask_BN: Any, p4_BN4: Any = None, *, prefix_BKD: Any = None, **_: Any
    ) -> Features:
        real = mask_BN[..., None]
        mean_BD = torch.where(real, h_BND, 0.0).sum(1) / real.sum(1).clamp(min=1)
        if prefix_BKD is not None:
            mean_BD = mean_BD + prefix_BKD.sum(1)
        both = torch.cat([h_BND, mean_BD[:, None].expand_as(h_BND)], dim=-1)
        return Features(torch.where(real, self.together(both), 0.0))


class Unknown(Sound):
    supports = frozenset({"magic"})


class Misshapen(Sound):
    def encode(self, *args: Any, **kwargs: Any) -> Features:
        features = super().encode(*args, **kwargs)
        return replace(features, pooled_BD=features.tokens_BND.sum(1)[:, :-1])


class PaddingCounts(Sound):
    def encode(self, h_BND: Any, mask_BN: Any, *args: Any, **kwargs: Any) -> Features:
        features = super().encode(h_BND, mask_BN, *args, **kwargs)
        return replace(features, tokens_BND=features.tokens_BND / mask_BN.shape[1])


class OrderCounts(Sound):
    def encode(self, h_BND: Any, mask_BN: Any, *args: Any, **kwargs: Any) -> Features:
        place = torch.arange(mask_BN.shape[1])[None, :, None]
        return super().encode(h_BND + 0.1 * place, mask_BN, *args, **kwargs)


class Alone(Sound):
    def encode(self, h_BND: Any, mask_BN: Any, *args: Any, **kwargs: Any) -> Features:
        both = torch.cat([h_BND, h_BND], dim=-1)
        return Features(torch.where(mask_BN[..., None], self.together(both), 0.0))


class DividesByZero(Sound):
    def encode(self, h_BND: Any, mask_BN: Any, *args: Any, **kwargs: Any) -> Features:
        features = super().encode(h_BND, mask_BN, *args, **kwargs)
        return replace(features, pooled_BD=features.tokens_BND.sum(1) / mask_BN.sum(1, keepdim=True))


class Idle(Sound):
    def __init__(self, config: WidthConfig, *, feature_names: Any) -> None:
        super().__init__(config, feature_names=feature_names)
        self.idle = nn.Linear(3, 3)


class Noisy(Sound):
    def encode(self, h_BND: Any, *args: Any, **kwargs: Any) -> Features:
        return super().encode(h_BND + torch.randn_like(h_BND), *args, **kwargs)


class Ungrouped(Sound):
    def layers(self) -> list[list[nn.Parameter]]:
        return [list(self.alone.parameters())]


class Coarse(Sound):
    def encode(self, h_BND: Any, *args: Any, **kwargs: Any) -> Features:
        features = super().encode(h_BND, *args, **kwargs)
        off = 0.5 if torch.is_autocast_enabled("cpu") else 1.0
        return replace(features, tokens_BND=features.tokens_BND * off)


class FrameCounts(Sound):
    needs = frozenset({"p4"})

    def encode(self, h_BND: Any, mask_BN: Any, p4_BN4: Any = None, **kwargs: Any) -> Features:
        return super().encode(h_BND + 0.1 * p4_BN4[..., 1:2], mask_BN, p4_BN4, **kwargs)


class Peeks(Sound):
    def encode(
        self, h_BND: Any, mask_BN: Any, p4_BN4: Any = None, *, physical_BNF: Any = None, **kwargs: Any
    ) -> Features:
        seen = 0.0 if physical_BNF is None else physical_BNF[..., :1]
        return super().encode(h_BND + seen, mask_BN, p4_BN4, **kwargs)


class ForgetsPrefix(Sound):
    def encode(self, *args: Any, prefix_BKD: Any = None, **kwargs: Any) -> Features:
        return super().encode(*args, **kwargs)


class LooksAhead(Sound):
    supports = frozenset({"causal"})


class KeepsItsEmbedding(Sound):
    supports = frozenset({"embedding"})

    def embed(self, x_BNF: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return super().embed(x_BNF[..., : x_BNF.shape[-1] // 2], *args, **kwargs)

    def replace_embedding(self, embedding: Any) -> None:
        pass


class OrderUnknown(Sound):
    supports = frozenset({"order"})


class SharesItsEmbedding(Sound):
    own_parts = frozenset({"together"})


BACKBONE_FAULTS = {
    "needs_and_supports_are_known": Unknown,
    "shapes_follow_the_width": Misshapen,
    "padding_changes_nothing": PaddingCounts,
    "order_of_constituents_does_not_matter": OrderCounts,
    "order_is_known_where_supported": OrderUnknown,
    "features_depend_on_the_whole_row_and_only_on_it": Alone,
    "empty_and_tiny_rows_are_finite": DividesByZero,
    "every_parameter_gets_a_gradient": Idle,
    "a_seed_determines_the_features": Noisy,
    "layers_hold_every_parameter_once": Ungrouped,
    "bfloat16_is_float32_to_its_precision": Coarse,
    "azimuth_and_boost_along_the_beam_do_not_matter": FrameCounts,
    "nothing_is_known_of_a_replaced_constituent": Peeks,
    "every_constituent_sees_the_prefix": ForgetsPrefix,
    "causal_features_do_not_see_what_follows": LooksAhead,
    "another_embedding_takes_the_place_of_its_own": KeepsItsEmbedding,
    "what_is_shared_is_the_same_for_all_features": SharesItsEmbedding,
}


def test_every_law_of_backbones_has_a_fault(register: Any) -> None:
    assert set(BACKBONE_FAULTS) == names_of(backbones.LAWS)
    register(Sound)
    check_backbone("faulty", width=6)


@pytest.mark.parametrize("law", BACKBONE_FAULTS)
def test_a_faulty_backbone_breaks_its_law(law: str, register: Any) -> None:
    register(BACKBONE_FAULTS[law])
    assert law in broken(lambda: check_backbone("faulty"))


# -- objectives


class Silent(Supervised):
    lets_through = "nothing"


class OtherViews(Supervised):
    def views(self, network: Any, batch: Any, draws: Any) -> dict[str, View]:
        view = super().views(network, batch, draws)["clean"]
        return {"clean": view, "more": view}


class Infinite(Supervised):
    def loss(self, *args: Any) -> Loss:
        loss = super().loss(*args)
        return Loss({name: replace(term, total=term.total / 0) for name, term in loss.terms.items()})


class Unused(Supervised):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.unused = nn.Linear(2, 2)


class Draws(Supervised):
    def loss(self, *args: Any) -> Loss:
        loss = super().loss(*args)
        factor = float(np.random.default_rng().uniform())
        return Loss({name: replace(term, total=term.total * factor) for name, term in loss.terms.items()})


class CountsPadding(Supervised):
    def loss(self, network: Any, outputs: Any, draws: Any) -> Loss:
        loss, length = super().loss(network, outputs, draws), outputs["clean"].view.batch.mask_BN.shape[1]
        return Loss({name: replace(term, total=term.total * length) for name, term in loss.terms.items()})


class Unweighted(Supervised):
    def loss(self, network: Any, outputs: Any, draws: Any) -> Loss:
        batch = outputs["clean"].view.batch
        plain = replace(outputs["clean"], view=View(replace(batch, weights_B=None)))
        return super().loss(network, {"clean": plain}, draws)


class MeansOverNothing(Supervised):
    def loss(self, network: Any, outputs: Any, draws: Any) -> Loss:
        output, loss = outputs["clean"], super().loss(network, outputs, draws)
        mask = output.view.batch.mask_BN
        row = output.features.tokens_BND.sum((1, 2)) / mask.sum(1)
        return Loss({**loss.terms, "mean": mean(row, row_weights(output.view.batch), weight=0.1)})

    def weights(self, views: Any) -> dict[str, Tensor]:
        return {**super().weights(views), "mean": row_weights(views["clean"].batch)}


class MeanOfPart(Supervised):
    def loss(self, *args: Any) -> Loss:
        loss = super().loss(*args)
        return Loss(
            {
                name: replace(term, total=term.total / term.count.clamp(min=1), count=term.count / term.count)
                for name, term in loss.terms.items()
            }
        )


class OtherCounts(Supervised):
    def counts(self, views: Any) -> dict[str, Tensor]:
        return {name: 2 * count for name, count in super().counts(views).items()}


class Forgets(Supervised):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.factor = 1.0

    def prepare(self, network: Any, batches: Any) -> None:
        self.factor = float(next(network.parameters()).detach().sum())

    def loss(self, *args: Any) -> Loss:
        loss = super().loss(*args)
        return Loss(
            {name: replace(term, total=term.total * self.factor) for name, term in loss.terms.items()}
        )


class CoarseLoss(Supervised):
    def loss(self, *args: Any) -> Loss:
        factor = 0.5 if torch.is_autocast_enabled("cpu") else 1.0
        loss = super().loss(*args)
        return Loss({name: replace(term, total=term.total * factor) for name, term in loss.terms.items()})


class StaleTeacher(Supervised):
    def __init__(self, config: Any, network: Any, schema: Any) -> None:
        super().__init__(config, network, schema)
        self.teacher = copy.deepcopy(network).requires_grad_(False)

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self.teacher.eval()
        return self


class NoisyTeacher(StaleTeacher):
    def prepare(self, network: Any, batches: Any) -> None:
        self.teacher.load_state_dict(network.state_dict())

    def train(self, mode: bool = True) -> Any:
        return nn.Module.train(self, mode)


OBJECTIVE_FAULTS = {
    "it_says_what_its_views_let_through": Silent,
    "its_views_are_those_it_requires": OtherViews,
    "the_loss_is_finite_and_logged_terms_have_no_gradient": Infinite,
    "every_trainable_parameter_gets_a_finite_gradient": Unused,
    "the_same_seeds_give_the_same_loss": Draws,
    "padding_does_not_change_the_loss": CountsPadding,
    "a_row_of_weight_zero_does_not_count": Unweighted,
    "rows_of_one_or_no_constituent_give_finite_losses_and_gradients": MeansOverNothing,
    "loss_and_gradient_do_not_depend_on_how_a_step_is_cut": MeanOfPart,
    "counts_from_views_are_those_of_the_loss": OtherCounts,
    "saved_and_loaded_weights_give_the_same_loss": Forgets,
    "bfloat16_gives_nearly_the_same_loss": CoarseLoss,
    "a_copy_of_the_network_starts_with_its_weights": StaleTeacher,
    "what_is_frozen_stays_in_evaluation_mode": NoisyTeacher,
}


def test_every_law_of_objectives_has_a_fault() -> None:
    assert set(OBJECTIVE_FAULTS) == names_of(objective_laws.LAWS)


@pytest.mark.parametrize("law", OBJECTIVE_FAULTS)
def test_a_faulty_objective_breaks_its_law(law: str, register: Any) -> None:
    register(OBJECTIVE_FAULTS[law])
    assert law in broken(lambda: check_objective("faulty", backbones=["transformer"]))


# -- readers: they read what a test writes, four jets of two constituents


class SoundReader(TopTaggingReader):
    """Reads a file that holds a number, which scales the momenta."""

    extra: tuple[Field, ...] = ()

    def schema(self, path: Path) -> Any:
        self.scale = float(path.read_text())
        return jet_schema(("QCD", "Tbqq"), identity=False, tracks=False, substructure=False, extra=self.extra)

    def num_rows(self, path: Path) -> int:
        return 4

    def chunks(self, path: Path) -> Any:
        self.schema(path)
        momenta = np.tile(np.array([30.0, 20.0], np.float32), 4) * self.scale
        lengths = np.full(4, 2)
        yield {
            **{f"jet_{name}": np.full(4, 50.0, np.float32) for name in ("pt", "energy")},
            **{f"jet_{name}": np.zeros(4, np.float32) for name in ("eta", "phi")},
            "jet_label": np.array([0, 1, 0, 1]),
            **{f"part_{name}": Ragged.from_lengths(momenta, lengths) for name in ("pt", "energy")},
            **{f"part_{name}": Ragged.from_lengths(0 * momenta, lengths) for name in ("eta", "phi")},
            **{field.name: np.ones(4, np.float32) for field in self.extra},
        }


class Nameless(SoundReader):
    def source(self, path: Path) -> dict[str, str]:
        return {}


class OtherEndings(SoundReader):
    endings = (".jets",)


class Undescribed(SoundReader):
    extra = (Field("my_mass", Level.OBJECT, description="mass"),)


class LosesRows(SoundReader):
    def num_rows(self, path: Path) -> int:
        return 5


class DoesNotCount(SoundReader):
    def num_rows(self, path: Path) -> Any:
        """Only reading the file would tell."""


class Drifts(SoundReader):
    def chunks(self, path: Path) -> Any:
        for columns in super().chunks(path):
            yield {**columns, "jet_pt": np.random.default_rng().uniform(1, 2, 4).astype(np.float32)}


class ReadsAnything(SoundReader):
    def schema(self, path: Path) -> Any:
        self.scale = 1.0
        return jet_schema(("QCD", "Tbqq"), identity=False, tracks=False, substructure=False)


READER_FAULTS = {
    "it_says_where_files_come_from": Nameless,
    "it_says_how_its_files_are_called": OtherEndings,
    "fields_are_described": Undescribed,
    "pieces_fit_the_schema_and_hold_every_row": LosesRows,
    "reading_again_gives_the_same_rows": Drifts,
    "a_store_holds_what_was_read": Drifts,
    "other_files_are_refused": ReadsAnything,
}


def test_every_law_of_readers_has_a_fault(register: Any, tmp_path: Path) -> None:
    assert set(READER_FAULTS) == names_of(reader_laws.LAWS)
    (tmp_path / "file.h5").write_text("1.5")
    for sound in (SoundReader, DoesNotCount):
        register(sound)
        check_reader("faulty", tmp_path / "file.h5")


@pytest.mark.parametrize("law", READER_FAULTS)
def test_a_faulty_reader_breaks_its_law(law: str, register: Any, tmp_path: Path) -> None:
    register(READER_FAULTS[law])
    (tmp_path / "file.h5").write_text("1.5")
    assert law in broken(lambda: check_reader("faulty", tmp_path / "file.h5"))


# -- tasks


class NoHeadline(TopTagging):
    name = "faulty"
    primary = "significance"


class TakesAnyStore(TopTagging):
    name = "faulty"

    def bind(self, schema: Any, *, where: str) -> Any:
        return self


class ChangesTitles(TopTagging):
    name = "faulty"

    def measure(self, subject: Any, store: Any, options: Any) -> Any:
        measured = super().measure(subject, store, options)
        renamed = [info.model_copy(update={"title": "something else"}) for info in measured.metrics]
        return replace(measured, metrics=tuple(renamed))


class FirstRows(TopTagging):
    name = "faulty"

    def _rows(self, store: Any) -> Any:
        return super()._rows(store)[:50]


class RowsOneByOne(TopTagging):
    name = "faulty"

    def _predictions(self, *given: Any) -> Any:
        return replace(super()._predictions(*given), groups=None)


class ByPosition(TopTagging):
    name = "faulty"

    def _scores(self, scorer: Any, store: Any, rows: Any) -> Any:
        return np.asarray(scorer.score(store, rows), np.float64)


class ComparesModels(TopTagging):
    name = "faulty"

    def row_statistics(self, folder: Any, result: Any) -> Any:
        found = super().row_statistics(folder, result)
        predictions, _ = read_scores(folder, result)
        return replace(found, truth=predictions.scores[:, 0])


class MeasuresAnything(TopTagging):
    name = "faulty"

    def measure(self, subject: Any, store: Any, options: Any) -> Any:
        subject.scorer = lambda *_: task_laws.Truth(store, "jet_label")
        return super().measure(subject, store, options)


TASK_FAULTS = {
    "what_it_says_beforehand_agrees": NoHeadline,
    "a_store_without_its_field_is_refused": TakesAnyStore,
    "an_untrained_model_is_measured_and_the_result_reads_back": ChangesTitles,
    "order_of_rows_changes_no_value": FirstRows,
    "copies_in_one_group_narrow_no_interval": RowsOneByOne,
    "the_better_model_has_the_better_headline": ByPosition,
    "rows_are_the_same_for_all_models": ComparesModels,
    "what_predicts_nothing_is_refused": MeasuresAnything,
}


@pytest.fixture(scope="module")
def top_jets(jet_columns: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    columns = {**jet_columns(120, seed=3), "jet_label": np.arange(120, dtype=np.int16) % 2}
    path = tmp_path_factory.mktemp("top") / "jets"
    write_store(path, jet_schema(("QCD", "Tbqq")), [("test", columns)], provenance={"source": "test"})
    return Store.open(path)


def test_every_law_of_tasks_has_a_fault() -> None:
    assert set(TASK_FAULTS) == names_of(task_laws.LAWS)


@pytest.mark.parametrize("law", TASK_FAULTS)
def test_a_faulty_task_breaks_its_law(law: str, register: Any, top_jets: Store) -> None:
    register(TASK_FAULTS[law])
    assert law in broken(lambda: check_task("faulty", top_jets))


# -- the message


def test_the_message_has_every_broken_law_with_its_reason_and_place(register: Any) -> None:
    class Broken(SoundReader):
        def source(self, path: Path) -> dict[str, str]:
            raise DataError("no source today")

    register(Broken)
    with pytest.raises(AssertionError) as caught:
        check_reader("faulty", __file__)
    message = str(caught.value)
    assert message.startswith("the reader 'faulty' breaks ")
    assert "it_says_where_files_come_from: `source` gives a title" in message
    assert f"DataError: no source today\n    at {__file__}:" in message
