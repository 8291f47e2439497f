"""Every ``sh`` and ``python`` block of the documentation runs, page by page, in an empty folder.

Blocks marked ``console`` are shown only (set-up, long work); their commands are those of the command line.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from warm import start

from hepfm import api
from hepfm.cli.main import group

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def script(page):
    """Return the page's blocks as one shell script."""
    return "\n".join(
        text if language == "sh" else f"python - <<'END_OF_BLOCK'\n{text}END_OF_BLOCK"
        for language, text in BLOCK.findall(page.read_text(encoding="utf-8"))
    )


def installation_into(packages):
    """Return an environment in which ``pip install`` needs no network and writes into a folder."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(packages)])
    options = {"TARGET": str(packages), "NO_INDEX": "1", "NO_DEPS": "1", "DISABLE_PIP_VERSION_CHECK": "1"}
    # For pip "no build isolation" is an option that is on when it is set to 0.
    return {"PYTHONPATH": path, "PIP_NO_BUILD_ISOLATION": "0", **{f"PIP_{k}": v for k, v in options.items()}}


DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.md"))]
NOTEBOOK = DOCS / "tutorials" / "nanoaod.md"


def name_of(page):
    """Return what a page is called in the list of tests."""
    return str(page.relative_to(ROOT)).removeprefix("docs/")


COLD = {ROOT / "README.md", DOCS / "plugins.md"}
"""Pages whose every call is a process of its own: what a newcomer does first, and what installs packages."""


@pytest.fixture(scope="module")
def warm_hepfm(tmp_path_factory):
    """Folder with a ``hepfm`` that does not import everything anew in each call."""
    folder = tmp_path_factory.mktemp("warm")
    server = start(folder, {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"})
    yield folder
    server.kill()
    server.wait()


@pytest.mark.parametrize("page", [page for page in PAGES if script(page) and page != NOTEBOOK], ids=name_of)
def test_blocks_run(page, tmp_path_factory, warm_hepfm):
    folder, packages = tmp_path_factory.mktemp("page"), tmp_path_factory.mktemp("packages")
    first = [] if page in COLD else [str(warm_hepfm)]
    environment = {
        **os.environ,
        **installation_into(packages),
        "PATH": os.pathsep.join([*first, str(Path(sys.executable).parent), os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "default",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-x", "-c", script(page)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def load_notebook():
    """Return the script that makes a notebook of a page."""
    spec = importlib.util.spec_from_file_location("notebook", DOCS / "scripts" / "notebook.py")
    sys.modules["notebook"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_runs(shared_data, tmp_path):
    notebook = load_notebook()
    (tmp_path / notebook.SAMPLE).symlink_to(shared_data / notebook.SAMPLE)
    done = subprocess.run(
        [sys.executable, notebook.__file__, "--run"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "62 jets with 2374 constituents" in done.stdout
    assert "![figure](data:image/png;base64," in done.stdout


def test_the_notebook_is_that_of_its_page():
    notebook = load_notebook()
    page = NOTEBOOK.read_text(encoding="utf-8")
    written = NOTEBOOK.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert written == notebook.notebook(page), "python docs/scripts/notebook.py"


def shown_commands(page):
    """Return the calls of hepfm in the blocks of a page that are only shown."""
    blocks = re.findall(
        r"^```(?:console|bash|text)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S
    )
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if re.match(r"(\$ )?(exec )?hepfm [a-z]", line) and "..." not in line]


def parsed(line):
    """Read a call as the command line does, without doing it."""
    words = shlex.split(re.sub(r"\$\w+", "1", line), comments=True)
    words = words[words.index("hepfm") + 1 :]
    command, context = group, click.Context(group, info_name="hepfm")
    while isinstance(command, click.Group):
        name, words = words[0], words[1:]
        command = command.get_command(context, name)
        assert command is not None, f"no verb {name}: {line}"
    return command.make_context(name, words, parent=context)


@pytest.mark.parametrize("page", [page for page in PAGES if shown_commands(page)], ids=name_of)
def test_shown_commands_are_those_of_the_command_line(page):
    for line in shown_commands(page):
        try:
            parsed(line)
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    listed = re.findall(r"([\w/]+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(name_of(page) for page in PAGES if page.parent != ROOT)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_exist(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to {missing}"


def test_the_page_of_the_api_has_every_verb():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for place in api._VERBS.values():
        assert f"::: {place.replace(':', '.')}\n" in page
