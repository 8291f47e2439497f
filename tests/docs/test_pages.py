"""Every ``sh`` and ``python`` block of the documentation runs, page by page, in an empty folder.

Blocks marked ``console`` are shown only (set-up, long work).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hepfm import api

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


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", [page for page in PAGES if script(page)], ids=lambda page: page.name)
def test_blocks_run(page, tmp_path_factory):
    folder, packages = tmp_path_factory.mktemp("page"), tmp_path_factory.mktemp("packages")
    environment = {
        **os.environ,
        **installation_into(packages),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_exist(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to {missing}"


def test_the_page_of_the_api_has_every_verb():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for place in api._VERBS.values():
        assert f"::: {place.replace(':', '.')}\n" in page
