"""`sora-async gallery`: the page of a batch."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def done(cli, relay):
    """The folder of a batch that is done."""
    Path("m.jsonl").write_text('{"prompt": "a <b>cat"}')
    assert cli("batch", "m.jsonl", "-o", "out", "--no-page").code == 0
    return Path("out")


def test_gallery_writes_the_page_and_prints_its_path(cli, done):
    """The page shows what the ledger of the folder has."""
    ran = cli("gallery", "out", "--title", "My cats")
    assert ran == (0, "out/index.html\n", "")
    page = (done / "index.html").read_text()
    assert "My cats" in page
    assert "a &lt;b&gt;cat" in page


def test_gallery_takes_another_ledger(cli, done):
    """--ledger names one that is elsewhere."""
    (done / "batch.ledger").rename("my.ledger")
    assert cli("gallery", "out", "--ledger", "my.ledger").code == 0


def test_gallery_without_a_ledger_is_an_error(cli):
    """Nothing is written then."""
    ran = cli("gallery", "nowhere")
    assert (ran.code, ran.out, Path("nowhere").exists()) == (1, "", False)
    assert ran.err.startswith("error: cannot use the ledger nowhere/batch.ledger: ")


def test_gallery_without_its_extra_says_what_to_install(cli, done, monkeypatch):
    """One sentence, no traceback."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    ran = cli("gallery", "out")
    assert (ran.code, ran.err) == (1, "error: the gallery needs Jinja2: pip install 'sora_async[gallery]'\n")
