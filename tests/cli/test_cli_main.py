"""The command as a whole: its entry, its version, its completion, and what it does without its extra."""

import importlib
import io
import os
import subprocess
import sys

import pytest

import sora_async
from sora_async.cli import main


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_main_without_its_extra_says_what_to_install(monkeypatch, capsys, package):
    """One sentence, no traceback."""
    monkeypatch.delitem(sys.modules, "sora_async.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "The command sora-async needs typer and rich: pip install 'sora_async[cli]'\n"


def test_main_does_not_hide_what_else_is_missing(monkeypatch):
    """A broken installation is not blamed on the extra."""
    monkeypatch.delitem(sys.modules, "sora_async.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "sora_async.cli.failures", None)
    with pytest.raises(ImportError):
        main()


def test_ctrl_c_while_loading_is_quiet(monkeypatch):
    """Also the first moments end with 130."""

    class Interrupting:
        def find_spec(self, name, path=None, target=None):
            if name == "sora_async.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "sora_async.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


def test_version_is_that_of_the_package(cli):
    """It is said on stdout, and ends well."""
    ran = cli("--version")
    assert (ran.code, ran.out) == (0, f"sora-async {sora_async.__version__}\n")


def test_main_runs_where_stdout_is_no_file(monkeypatch):
    """An embedding program may put anything in its place."""
    monkeypatch.setattr(sys, "argv", ["sora-async", "--version"])
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(SystemExit):
        main()
    assert sys.stdout.getvalue().startswith("sora-async ")


def test_module_runs_only_as_a_program():
    """Tools that import every module start nothing."""
    assert importlib.import_module("sora_async.cli.__main__").main is main


def test_help_names_every_command(cli):
    """The first help shows all that can be done."""
    out = cli("--help").out
    for command in ("generate", "create", "status", "wait", "download", "character", "sandbox", "doctor"):
        assert f"\n  {command} " in out


def test_unknown_option_is_misuse(cli):
    """The parser's own errors end with 2 as well."""
    ran = cli("generate", "a cat", "--no-such-option")
    assert (ran.code, ran.out) == (2, "")


def test_completion_knows_the_usual_words():
    """The shell completes values, and any other text is still taken."""
    environment = {"_SORA_ASYNC_COMPLETE": "complete_bash", "COMP_WORDS": "sora-async generate x --orientation p"}
    ran = subprocess.run(
        [sys.executable, "-c", "from sora_async.cli import main; main()"],
        env={**os.environ, **environment, "COMP_CWORD": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.split() == ["portrait"]


def test_sandbox_passes_its_options_through(cli):
    """The sandbox's own parser answers, also for help."""
    assert "--takes SECONDS" in cli("sandbox", "--help").out
    assert cli("sandbox", "--host", "192.0.2.1").code == 2
