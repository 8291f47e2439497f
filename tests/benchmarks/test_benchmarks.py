"""Every benchmark runs, at toy size and without its peer; no time is judged."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
NAMES = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
WITH_PEER = {"evenet", "particle_transformer", "pet", "loader", "omnifold", "tokens"}


for folder in (FOLDER, FOLDER.parent / "docs" / "scripts"):
    sys.path.append(str(folder))


def numbers(value: Any) -> Iterator[float]:
    """Yield all numbers of a result, but for the machine's."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "environment":
                yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Run a benchmark at toy size as its command line does, once; return the file that it writes."""
    folder = tmp_path_factory.mktemp("benchmarks")

    def run(name: str) -> Path:
        for benchmark, package, extra in (("simulate", "pythia8mc", "sim"), ("anomaly", "zuko", "flows")):
            if name == benchmark:
                pytest.importorskip(package, reason=f"the extra {extra!r} is not installed")
        output = folder / f"{name}.json"
        if not output.exists():
            benchmark = importlib.import_module(f"bench_{name}")
            arguments = ["--toy", "--threads", "1", "--repeats", "2", "-o", str(output)]
            if hasattr(benchmark, "COMPARISON"):
                benchmark.COMPARISON.main(benchmark.__doc__, arguments)
            else:
                benchmark.main(arguments)
        return output

    return run


def read(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_at_toy_size(name: str, toy: Callable[[str], Path]) -> None:
    result = read(toy(name))
    assert result["toy"] is True
    assert set(result["environment"]) == {
        "processor",
        "vectors",
        "cores",
        "threads",
        "load_per_core_at_start",
        "load_per_core_at_end",
        "versions",
    }
    assert {"hepfm", "torch", "python"} <= set(result["environment"]["versions"])
    assert result["environment"]["threads"] == 1
    figures = list(numbers(result))
    assert len(figures) > 3
    assert all(math.isfinite(figure) and figure >= 0 for figure in figures)
    if name in WITH_PEER:
        assert result["peer"].startswith("skipped: ")
    else:
        assert result["peer"] is None


def test_the_peer_takes_turns_and_its_logits_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With this environment in the peer's place, whose worker is a network of ours."""
    compare = importlib.import_module("compare_networks")
    benchmark = importlib.import_module("bench_pet")
    asked: list[dict[str, Any]] = []

    class Twin:
        """A worker that answers at once, and writes logits that are 0.25 off."""

        def __init__(self, script: str, python: str, threads: int) -> None:
            self.python = python

        def __enter__(self) -> Twin:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def ask(self, **request: Any) -> Any:
            asked.append({"python": self.python, **request})
            if "logits" in request:
                compare.save(benchmark.torch.nn.Module(), benchmark.torch.full((2,), 0.25), request["logits"])
                return True
            speed = 4.0 if request["alone"] else 2.0 if request["side"] == "hepfm" else 0.5
            return {"second": speed, "cpu_second": 1.0}

    monkeypatch.setattr(compare, "Worker", Twin)
    monkeypatch.setattr(compare.frame, "versions_of", lambda python, *_: {"omnilearned": python})
    twin = replace(benchmark.COMPARISON, our_logits=lambda _: benchmark.torch.zeros(2))
    arguments = ["--toy", "--threads", "1", "--repeats", "3", "--peer-python", "PEER"]
    twin.main("", [*arguments, "-o", str(tmp_path / "result.json")])
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["peer"] == {"omnilearned": "PEER"}
    ratios = result["sizes"]["toy"]["per_second"]["ratio_of_medians"]
    assert list(ratios.values()) == [4.0, 4.0, 0.5]  # the last one over its own matrix products
    assert result["sizes"]["toy"]["largest_difference_of_logits"] == 0.25
    turns = [request for request in asked if "logits" not in request]
    assert [request["side"] for request in turns] == 3 * ["hepfm", "omnilearned", "omnilearned", "hepfm"]
    assert [request["alone"] for request in turns] == 3 * [False, False, False, True]
    assert [request["seed"] for request in turns] == [0] * 4 + [1] * 4 + [2] * 4
    assert all((request["python"] == "PEER") == (request["side"] != "hepfm") for request in asked)


def test_iterations_of_the_package_are_timed_and_its_weights_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a worker in the peer's place that takes 100 s for an iteration and finds the weights 1."""
    benchmark = importlib.import_module("bench_omnifold")
    asked: list[dict[str, Any]] = []

    class Twin:
        def __init__(self, script: str, python: str, threads: int) -> None:
            asked.append({"python": python, "threads": threads})

        def __enter__(self) -> Twin:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def ask(self, **request: Any) -> Any:
            if "versions" in request:
                return {"omnifold": "0"}
            asked.append(request)
            events = benchmark.np.load(request["events"])
            benchmark.np.save(request["push"], benchmark.np.ones(len(events["detected"])))
            return {"wall": 100.0, "cpu": 50.0}

    monkeypatch.setattr(benchmark, "Worker", Twin)
    output = tmp_path / "result.json"
    benchmark.main(["--toy", "--threads", "2", "--repeats", "1", "--peer-python", "PEER", "-o", str(output)])
    result = read(output)
    (size,) = result["sizes"].values()
    ours, _, package = size["cases"]
    assert asked[0] == {"python": "PEER", "threads": 2}
    assert [request["seed"] for request in asked[1:]] == [1, 1, 2, 2]  # two iterations of two trainings
    assert package["seconds"]["median"] == 200.0
    ratio = size["ratio_of_medians"]["wall"]["omnifold / hepfm, the package's options"]
    assert ratio == pytest.approx(200 / ours["seconds"]["median"], rel=0.01)
    before = size["before"]
    assert package["mean"] == before["mean"]
    assert package["discriminator_e3"]["median"] == pytest.approx(before["discriminator_e3"], rel=1e-3)
    assert package["scatter"] == [0.0] * 6


def test_turns_spread_and_ratio() -> None:
    frame = importlib.import_module("frame")
    calls: list[str] = []
    cases = {name: (lambda turn, name=name: calls.append(f"{name}{turn}") or turn) for name in "ab"}
    assert frame.take_turns(cases, repeats=2, warmup=1) == {"a": [1, 2], "b": [1, 2]}
    assert calls == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert frame.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert frame.ratio_of_medians({"ours": [4.0, 6.0, 5.0], "theirs": [2.0]}) == {"ours / theirs": 2.5}


def test_a_busy_machine_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = importlib.import_module("frame")
    monkeypatch.setattr(frame, "load_per_core", lambda: 0.75)
    frame.main("", "x", lambda _: {}, arguments=["--threads", "1", "-o", str(tmp_path / "x.json")])
    assert "the machine is busy (load 0.8 per core)" in capsys.readouterr().out
    assert json.loads((tmp_path / "x.json").read_text())["environment"]["load_per_core_at_start"] == 0.75


def test_the_page_is_that_of_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = importlib.import_module("benchmarks_page")
    committed = (FOLDER.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(page, "ROOT", tmp_path)
    page.main()
    assert (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8") == committed


def layout(value: Any) -> Any:
    """Return the keys of a result and of its parts, but for those of titles and of what needs a peer."""
    if isinstance(value, list):
        return layout(value[0])
    if not isinstance(value, dict):
        return None
    return {key: layout(inner) for key, inner in value.items() if key not in VARIABLE}


VARIABLE = {
    "peer", "versions", "simulation_versions", "jets", "ratio_of_medians", "tokenizing", "omnijet_alpha",
    "ratio_to_one_worker", "ratio_per_cpu_s", "two_processes", "two_processes_note", "solvers", "note",
    "figures",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_committed_results_have_the_layout_of_new_ones(name: str, toy: Callable[[str], Path]) -> None:
    fresh, committed = read(toy(name)), read(FOLDER / "results" / f"{name}.json")
    assert committed["toy"] is False
    if name == "simulate":  # the toy has one class
        for result in (fresh, committed):
            for key in ("with_mpi", "without_mpi"):
                result[key] = [rates for kind, rates in result[key].items() if kind != "all"]
            for part in ("events", "grouped"):
                result[part]["rates"] = list(result[part]["rates"].values())
    if "sizes" in fresh:
        for result in (fresh, committed):
            result["sizes"] = list(result["sizes"].values())
    assert layout(committed) == layout(fresh)


def test_products_are_counted_by_their_shapes_forward_and_backward() -> None:
    bound = importlib.import_module("matrix_bound")
    torch = bound.torch
    x, layer = torch.randn(5, 3, requires_grad=True), torch.nn.Linear(3, 7)
    counts = bound.record(lambda: layer(x).sum().backward())
    # y = x w, and the gradients of x and w.
    assert sum(counts.values()) == 3
    assert sorted(rows * inner * columns for _, rows, inner, columns in counts) == [105, 105, 105]
    query = torch.randn(2, 4, 6, 8, requires_grad=True)
    attention = torch.nn.functional.scaled_dot_product_attention
    counts = bound.record(lambda: attention(query, query, query).sum().backward())
    assert counts == {(8, 6, 8, 6): 7}
    bound.Bound(counts)()
