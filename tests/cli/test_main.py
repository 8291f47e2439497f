"""The command line: fast help, exit codes, every verb reachable."""

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from hepfm import api
from hepfm.cli.common import verb
from hepfm.cli.main import VERBS, group
from hepfm.cli.result import VerbResult
from hepfm.core.errors import ConfigError

HEAVY = ("torch", "pyarrow", "pydantic", "matplotlib", "scipy", "sklearn", "awkward", "pythia8mc", "fastjet")


SLOW = ("sklearn", "scipy.stats", "scipy.optimize", "pandas", "matplotlib", "awkward", "fastjet", "dask")
"""Seconds to import, each needed by one step of some verbs."""


def test_no_verb_waits_for_a_library_that_it_may_not_need():
    modules = {place.split(":")[0] for place in api._VERBS.values()}
    imports = "\n".join(f"import {module}" for module in sorted(modules))
    program = f"import sys\n{imports}\nprint([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", VERBS)
def test_help_of_every_verb_imports_nothing_heavy(name):
    program = (
        "import sys; from hepfm.cli.main import group\n"
        f"try: group(['{name}', '--help'], prog_name='hepfm')\n"
        "except SystemExit as leave: assert leave.code == 0, leave.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Usage: hepfm" in done.stdout


def test_unknown_verb_is_suggested():
    result = CliRunner().invoke(group, ["pretrian"])
    assert result.exit_code == 2
    assert "did you mean 'pretrain'" in result.output


def test_user_errors_have_exit_code_2_and_no_traceback():
    @click.command()
    @verb
    def command():
        raise ConfigError("wrong key 'a'")

    plain = CliRunner().invoke(command, [])
    assert plain.exit_code == 2
    assert "error: wrong key 'a'" in plain.output
    assert "Traceback" not in plain.output
    as_json = CliRunner().invoke(command, ["--json"])
    assert as_json.exit_code == 2
    assert json.loads(as_json.output) == {
        "error": {"type": "ConfigError", "message": "wrong key 'a'", "exit_code": 2}
    }


def test_the_next_command_comes_last():
    @click.command()
    @verb
    def command():
        return VerbResult(lines=["a table"], next="hepfm data check S")

    assert CliRunner().invoke(command, []).output.splitlines() == ["a table", "next: hepfm data check S"]
    assert json.loads(CliRunner().invoke(command, ["--json"]).output)["next"] == "hepfm data check S"
