"""Every verb is a described function; what it says is JSON of its own schema, errors too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import click
import pytest
from click.testing import CliRunner
from top_events import top_store

from hepfm import tools
from hepfm.cli.common import verb
from hepfm.cli.failures import kinds_of_errors
from hepfm.cli.main import VERBS, group
from hepfm.cli.result import Failure, VerbResult
from hepfm.cli.schema import adapter, result_schema, result_type, to_json
from hepfm.core.errors import DataError
from hepfm.core.interrupts import Interrupted, Terminated
from hepfm.study.study import StudyResult
from hepfm.tools.tools_verb import command as tools_verb
from hepfm.workflow.estimate import Estimate

FLOW = ["objective=flow_matching", "data.context=jet", "data.features=massless"]
TOKENS = ["objective={name: tokenize, tokenizer: {name: kmeans, codes: 8}}", "backbone=none"]
LABELS = ["data.budget=40", "early_stopping=null", "data.validation_fraction=0", "train.steps=2"]
CALLS: dict[str, dict[str, Any]] = {
    "hepfm_demo": {"overrides": ["seeds.replicates=[1]"], "processes": 1},
    "hepfm_study": {"study": "demo", "output": "study"},
    "hepfm_simulate": {"recipe": "calo_showers", "output": "showers", "processes": 1,
                       "overrides": ["showers.train=3", "showers.val=0", "showers.test=0", "energy.max=20"]},
    "hepfm_data_get": {"name": "top_tagging", "output": "public", "yes": True},
    "hepfm_data_info": {"store": "jets"},
    "hepfm_data_check": {"store": "jets"},
    "hepfm_data_plot": {"store": "jets", "output": "fields.png", "rows": 10},
    "hepfm_data_split": {"store": "jets", "split": "train=0.5,test=0.5", "output": "halves"},
    "hepfm_data_mix": {"store": "many", "signal": "Tbqq", "background": "QCD", "count": 2, "output": "mixed"},
    "hepfm_data_label": {"store": "tops", "labels": "event_truth", "output": "labelled"},
    "hepfm_data_export": {"store": "jets", "output": "jets.parquet"},
    "hepfm_ingest": {"format_name": "jetclass", "files": ["train=jets.parquet"], "output": "again"},
    "hepfm_tokenize": {"source": "recipe.yaml", "overrides": TOKENS, "output": "codes"},
    "hepfm_pretrain": {"recipe": "recipe.yaml", "overrides": FLOW, "output": "flow"},
    "hepfm_resume": {"run": "flow"},
    "hepfm_finetune": {"model": "run", "recipe": "demo", "overrides": ["data.store=jets", *LABELS],
                       "output": "tuned", "smoke": True},
    "hepfm_generate": {"model": "flow", "number": 3, "steps": 2, "output": "new", "device": "cpu"},
    "hepfm_predict": {"model": "run", "store": "jets", "output": "scores.arrow", "observers": "jet_pt"},
    "hepfm_evaluate": {"model": "run", "on": "classification", "store": "jets", "output": "result",
                       "signal": ["Tbqq"], "background": ["QCD", "Hbb"], "efficiencies": "0.5"},
    "hepfm_compare": {"results": ["result"]},
    "hepfm_list": {"kind": "schedule"},
    "hepfm_show": {"names": ["pretrain", "demo"]},
    "hepfm_check": {"model": "run"},
    "hepfm_convert": {"package": "weaver", "checkpoint": "nowhere.pt", "output": "converted"},
    "hepfm_export": {"model": "run", "output": "model.pt"},
    "hepfm_push": {"model": "run", "destination": "pushed", "private": False},
    "hepfm_pull": {"source": "pushed", "output": "pulled"},
    "hepfm_doctor": {},
}  # fmt: skip
"""Arguments of every verb, in an order in which each finds what it reads."""

OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("hepfm_pretrain", {"recipe": "recipe.yaml", "dry_run": True}),
    ("hepfm_finetune", {**CALLS["hepfm_finetune"], "dry_run": True}),
    ("hepfm_study", {"study": "demo", "dry_run": True}),
    ("hepfm_list", {"kind": "recipes"}),
    ("hepfm_show", {"names": ["jets"]}),
    ("hepfm_ingest", {"format_name": "mapping", "files": ["jets.parquet"], "suggest": True}),
]
"""Further calls of verbs that return several kinds of results."""


def stand_in(patch: pytest.MonkeyPatch) -> None:
    """Put stand-ins in the place of what takes minutes, needs the network or another package's file."""
    study = StudyResult(Path("study"), Path("study/report/report.html"), {"a": "done", "b": "failed"})
    patch.setattr("hepfm.study.study.study", lambda *_args, **_options: study)
    patch.setattr("hepfm.study.study.summary_lines", lambda _result: ["a line"])
    cost = {"core_hours": 0.1, "hours": 0.1, "unknown_runs": 0, "memory_bytes": 10, "trials": 1}
    estimate = Estimate("pretrain", "demo", runs=1, done=0, seconds=360.0)
    patch.setattr(
        "hepfm.study.cost.estimate",
        lambda *_args, **_options: SimpleNamespace(
            to_dict=lambda: {**cost, "estimates": [estimate]}, lines=lambda: ["a line"]
        ),
    )
    model = SimpleNamespace(
        network=SimpleNamespace(parameters=list),
        backbone=SimpleNamespace(name="particlenet"),
        features=SimpleNamespace(name="full"),
        provenance={"converted_from": {"note": "a note"}},
    )
    patch.setattr("hepfm.models.convert.convert", lambda *_args, **_options: model)
    patch.setattr("hepfm.data.public.get.get", _get)


def _get(_name: str, _patterns: Any, *, output: Path, agreed: Any) -> list[Path]:
    files = [SimpleNamespace(name="train.h5", size=10)]
    found = SimpleNamespace(licence="cc-by-4.0", files=files)
    return [output / "train.h5"] if agreed(found, files) else []


@pytest.fixture(scope="module")
def said(few_jets, jet_store, small_recipe, small_run, tmp_path_factory, call) -> dict[str, list[Any]]:
    """What each verb prints, called by its name, with ``--json``: parsed, by name."""
    folder = tmp_path_factory.mktemp("tools")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stand_in(patch)
        (folder / "jets").symlink_to(few_jets.path)
        (folder / "many").symlink_to(jet_store.path)
        (folder / "run").symlink_to(small_run)
        (folder / "recipe.yaml").write_text(small_recipe.read_text())
        top_store(folder / "tops", {"train": 5, "test": 5})
        found: dict[str, list[Any]] = {name: [] for name in CALLS}
        for name, arguments in [*CALLS.items(), *OTHERS]:
            done = call("call", name, json.dumps(arguments), "--json")
            found[name].append(json.loads(done.stdout))
            assert done.exit_code == found[name][-1].get("exit_code", 2), (name, done.output)
    return found


def test_every_verb_is_a_function_and_is_called_here() -> None:
    assert list(tools.commands()) == [tool.name for tool in tools.describe()]
    assert set(CALLS) == set(tools.commands())


@pytest.mark.parametrize("name", CALLS)
def test_what_a_verb_says_is_of_its_schema(said: dict[str, list[Any]], name: str) -> None:
    kind = result_type(tools.commands()[name])
    branches = get_args(kind) or (kind,)
    for document in said[name]:
        assert "error" not in document, document
        fitting = [one for one in branches if set(adapter(one).json_schema()["properties"]) == set(document)]
        assert len(fitting) == 1, (sorted(document), branches)
        assert json.loads(to_json(adapter(fitting[0]).validate_python(document))) == document
    assert len(said[name]) >= len(branches) or name == "hepfm_tokenize", "every kind of result is seen"


@pytest.mark.parametrize("name", CALLS)
def test_every_field_of_a_result_has_a_meaning(name: str) -> None:
    schema = result_schema(tools.commands()[name])
    for one in [schema, *schema.get("$defs", {}).values()] if "properties" in schema else _branches(schema):
        if "lines" in one["properties"]:
            without = [key for key, value in one["properties"].items() if not value.get("description")]
            assert not without
            assert sorted(one["required"]) == sorted(one["properties"])


def _branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [schema["$defs"][one["$ref"].rsplit("/", 1)[1]] for one in schema["anyOf"]]


def test_a_verb_without_a_typed_result_is_refused() -> None:
    @click.command("untyped")
    @verb
    def command() -> dict[str, Any]:  # type: ignore[type-var]
        return {}

    with pytest.raises(TypeError, match="verb untyped: annotate what it returns"):
        result_schema(command)


def test_a_new_verb_is_a_function_without_further_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERBS, "unfold", (__name__, "Unfold."))
    (tool,) = tools.describe(["unfold"])
    assert tool.parameters["required"] == ["store"]
    assert tool.parameters["properties"]["bins"] == {
        "description": "Number of bins. Form: BINS",
        "type": "integer",
        "minimum": 1,
        "default": 5,
    }
    assert tool.returns["properties"]["chi2"]["description"] == "Chi-squared per degree of freedom."
    assert tools.call("hepfm_unfold", {"store": "s", "bins": 3})["chi2"] == 3
    assert tools.call("hepfm_unfold", {"store": "-s"})["lines"] == ["-s"]


@dataclass(frozen=True, kw_only=True)
class Unfolded(VerbResult):
    """An unfolding.

    Attributes
    ----------
    chi2
        Chi-squared per degree of freedom.
    """

    chi2: float


@click.command()
@click.argument("store")
@click.option("--bins", type=click.IntRange(min=1), default=5, metavar="BINS", help="Number of bins.")
@verb
def command(store: str, bins: int) -> Unfolded:
    """Unfold STORE."""
    print("a library that prints")
    return Unfolded(chi2=float(bins), lines=[store])


def test_what_libraries_print_goes_to_standard_error() -> None:
    done = CliRunner().invoke(command, ["s", "--json"])
    assert json.loads(done.stdout)["lines"] == ["s"]
    assert "a library that prints" in done.stderr


def test_arguments_have_types_choices_and_defaults() -> None:
    (tool,) = tools.describe(["hepfm_evaluate"])
    values = tool.parameters["properties"]
    assert tool.parameters["required"] == ["model", "on", "store"]
    assert tool.parameters["additionalProperties"] is False
    assert "mass_scan" in values["on"]["enum"]
    assert values["device"] == {
        "description": "Where the network runs; auto takes CUDA where there is one.",
        "type": "string",
        "enum": ["auto", "cpu", "cuda"],
        "default": "auto",
    }
    assert values["luminosity"]["type"] == "number"
    assert "1/FB" in values["luminosity"]["description"]
    assert values["signal"]["type"] == "array"
    assert tool.writes == ["output"]
    (simulate,) = tools.describe(["hepfm_simulate"])
    assert "top_tagging" in simulate.parameters["properties"]["recipe"]["examples"]
    assert {tool.name for tool in tools.describe() if not tool.writes} == {
        "hepfm_data_info", "hepfm_data_check", "hepfm_list", "hepfm_show", "hepfm_check", "hepfm_doctor"
    }  # fmt: skip
    assert {tool.name for tool in tools.describe() if tool.dry_run} == {
        "hepfm_pretrain", "hepfm_finetune", "hepfm_study", "hepfm_data_get"
    }  # fmt: skip


def test_the_forms_differ_in_a_key_and_a_wrapper() -> None:
    def printed(form: str) -> Any:
        (tool,) = json.loads(CliRunner().invoke(tools_verb, ["data_info", "--format", form]).stdout)
        return tool

    plain = printed("plain")
    three = {"name": "hepfm_data_info", "description": plain["description"]}
    assert printed("function") == {
        "type": "function",
        "function": {**three, "parameters": plain["parameters"]},
    }
    assert printed("input_schema") == {**three, "input_schema": plain["parameters"]}
    mcp = {**three, "inputSchema": plain["parameters"], "annotations": {"readOnlyHint": True}}
    assert printed("mcp") == mcp


def test_the_list_tells_the_kinds_of_errors() -> None:
    done = CliRunner().invoke(tools_verb, ["--json"])
    document = json.loads(done.stdout)
    adapter(result_type(tools_verb)).validate_json(done.stdout, strict=True)
    assert document["errors"] == dict(kinds_of_errors())
    assert set(document["error_schema"]["properties"]) == {"type", "message", "exit_code"}
    assert all(tool["errors"] == list(document["errors"]) for tool in document["tools"])


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["lsit", "--json"], "UsageError", "did you mean 'list'"),
        (["--jsno", "list", "--json"], "NoSuchOption", "hepfm --help"),
        (["list", "--kin", "task", "--json"], "NoSuchOption", "hepfm list --help"),
        (["evaluate", "model", "--json"], "MissingParameter", "--on"),
        (["generate", "model", "-n", "many", "-o", "x", "--json"], "BadParameter", "'many'"),
        (["data", "info", "nowhere", "--json"], "DataError", "hepfm simulate"),
        (["check", "nowhere", "--json"], "ModelError", "not a model directory"),
        (["resume", "nowhere", "--json"], "TrainingError", "not a run directory"),
        (["pretrain", "demo", "train.stepz=3", "--json"], "ConfigError", "did you mean 'steps'"),
        (["data", "get", "top_tagging", "-o", "x", "--json"], "ConfigError", "give --yes"),
        (["tools", "nothing", "--json"], "ConfigError", "no tool has 'nothing'"),
        (["call", "hepfm_lst", "--json"], "ConfigError", "did you mean 'hepfm_list'"),
        (["call", "hepfm_list", "kind", "--json"], "ConfigError", "not JSON"),
        (["call", "hepfm_list", "[1]", "--json"], "ConfigError", "JSON object"),
        (["call", "hepfm_list", '{"kin": "task"}', "--json"], "ConfigError", "did you mean 'kind'"),
        (["call", "hepfm_list", '{"kind": 3}', "--json"], "ConfigError", "valid string"),
        (["call", "hepfm_list", '{"kind": null}', "--json"], "ConfigError", "got None"),
        (["call", "hepfm_data_info", "{}", "--json"], "ConfigError", "'store' is missing"),
        (["call", "hepfm_convert", '{"package": "b", "checkpoint": "c", "output": "o"}', "--json"],
         "ConfigError", "'omnilearned'"),
    ],
)  # fmt: skip
def test_mistakes_are_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], kind: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hepfm.data.public.get.get", _get)
    done = CliRunner().invoke(group, arguments, prog_name="hepfm")
    error = json.loads(done.stdout)["error"]
    adapter(Failure).validate_python(error)
    assert (error["type"], error["exit_code"], done.exit_code) == (kind, 2, 2)
    assert words in error["message"]


def ended(raised: BaseException) -> tuple[int, dict[str, Any], str]:
    """Return how a verb ends that raises: exit code, error and standard error."""

    @click.command()
    @verb
    def failing() -> VerbResult:
        raise raised

    done = CliRunner().invoke(failing, ["--json"])
    return done.exit_code, json.loads(done.stdout)["error"], done.stderr


def test_stops_and_faults_are_json() -> None:
    code, error, _ = ended(Interrupted("go on with `hepfm resume run`"))
    assert (code, error["type"]) == (130, "Interrupted")
    assert error["message"] == "interrupted; go on with `hepfm resume run`"
    code, error, _ = ended(Terminated())
    assert (code, error["type"]) == (143, "Terminated")
    code, error, said = ended(OSError(28, "No space left on device", "x.arrow"))
    assert (code, error["type"], error["message"]) == (2, "HepfmError", "x.arrow: No space left on device")
    code, error, said = ended(ZeroDivisionError("by zero"))
    assert (code, error["type"]) == (1, "ZeroDivisionError")
    assert "fault of hepfm" in error["message"]
    assert "Traceback" in said


def test_an_interrupted_run_is_json(small_recipe: Path, tmp_path: Path) -> None:
    words = ["pretrain", str(small_recipe), "train.steps=100000", "train.log_every=1", "-o", "run", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hepfm", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 90
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    stdout, _ = process.communicate(timeout=30)
    error = json.loads(stdout)["error"]
    assert (error["type"], process.returncode) == ("Interrupted", 130)
    assert "hepfm resume run" in error["message"]


def test_in_python_errors_are_values_and_ctrl_c_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tools.call("hepfm_data_info", {"store": "nowhere"})["error"]["type"] == "DataError"
    monkeypatch.setattr("hepfm.models.check.check", _raising(ZeroDivisionError("by zero")))
    assert tools.call("hepfm_check", {"model": "m"})["error"]["exit_code"] == 1
    monkeypatch.setattr("hepfm.models.check.check", _raising(DataError("damaged")))
    assert tools.call("hepfm_check", {"model": "m"})["error"]["message"] == "damaged"
    monkeypatch.setattr("hepfm.models.check.check", _raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tools.call("hepfm_check", {"model": "m"})


def _raising(error: BaseException) -> Any:
    def function(*_args: object) -> None:
        raise error

    return function


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a link that leads out of it."""
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "root"


@pytest.mark.parametrize("output", ["../outside", "link/inside", "{root}-2/x"])
def test_nothing_is_written_outside_of_the_root(
    root: Path, few_jets: Any, small_run: Path, small_recipe: Path, output: str
) -> None:
    output, jets = output.format(root=root), str(few_jets.path)
    before = sorted(root.parent.rglob("*"))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("hepfm_data_split", {"store": jets, "split": "train=0.5,test=0.5", "output": output}),
        ("hepfm_data_export", {"store": jets, "output": f"{output}.parquet"}),
        ("hepfm_pretrain", {"recipe": str(small_recipe), "output": output}),
        ("hepfm_predict", {"model": str(small_run), "store": jets, "output": f"{output}.parquet"}),
        ("hepfm_study", {"study": "demo", "output": output}),
        ("hepfm_resume", {"run": str(small_run)}),
        ("hepfm_evaluate", {"model": str(small_run), "on": "jetclass", "store": jets}),
        ("hepfm_push", {"model": str(small_run), "destination": "hf://owner/name"}),
    ]
    for name, arguments in calls:
        error = tools.call(name, arguments, root=root)["error"]
        assert error["type"] == "ConfigError", (name, error)
        assert "choose an output inside" in error["message"]
    assert sorted(root.parent.rglob("*")) == before
    assert "HEPFM_WRITABLE" not in os.environ


def test_inside_of_the_root_all_is_as_ever(root: Path, small_recipe: Path, few_jets: Any) -> None:
    here = Path.cwd()
    cost = tools.call("hepfm_pretrain", {"recipe": str(small_recipe), "dry_run": True}, root=root)
    assert cost["total_seconds"] > 0
    done = tools.call("hepfm_pretrain", {"recipe": str(small_recipe)}, root=root / "work")
    assert (root / "work" / done["model"] / "model.safetensors").exists()
    assert Path.cwd() == here
