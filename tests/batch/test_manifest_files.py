"""The file of a manifest: of any form and origin, and the same from the check to the last item."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from manifests import PNG, Write, problems, read, writer

from sora_async.batch.item import BatchItem
from sora_async.batch.manifest import Manifest


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a manifest."""
    return writer(tmp_path)


@pytest.mark.parametrize(
    ("name", "first", "is_csv"),
    [
        ("batch", '\n{"prompt": "p"}', False),
        ("batch.txt", "\ufeff\nprompt,seed\np,1", True),
        ("batch.txt", '# prompts\n{"prompt": "p"}', False),
        ("batch.NDJSON", '{"prompt": "p"}', False),
    ],
)
def test_form_of_a_file_with_another_ending(write: Write, name: str, first: str, is_csv: bool) -> None:
    """Where the ending does not say it, the first line does."""
    assert read(write(first, name=name))[0].request.extra == ({"seed": 1} if is_csv else {})


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"", "batch.jsonl", "has no lines"),
        (b"\n# nothing yet\n", "batch.jsonl", "has no lines"),
        (b"prompt\n", "batch.csv", "has no lines"),
        (b"", "batch.csv", "has no lines"),
        ('{"prompt": "p"}'.encode("utf-16"), "batch.jsonl", "this is UTF-16"),
        ("prompt\np".encode("utf-16"), "batch", "this is UTF-16"),
    ],
)
def test_file_without_a_line(write: Write, content: bytes, name: str, text: str) -> None:
    """A file from which nothing can be read is a problem too."""
    (found,) = problems(write(content, name=name))
    assert text in found[2]


def test_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    """What is no file is named."""
    assert problems(tmp_path / "no.jsonl") == [
        (None, None, f"{tmp_path / 'no.jsonl'} cannot be read: No such file or directory")
    ]
    assert problems(tmp_path) == [(None, None, f"{tmp_path} cannot be read: it is a folder: give the file in it")]


def test_line_without_end(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no text is not read into memory as one line; the lines after it are."""
    monkeypatch.setattr("sora_async.batch.records.MAX_LINE_BYTES", 1 << 20)
    found = problems(write(bytes((2 << 20) + 2), '{"prompt": 1}'))
    assert found[0] == (1, None, "the line is longer than 1 MiB: is this a manifest?")
    assert found[1][:2] == (2, 2)


def test_items_of_an_unchecked_manifest(write: Write) -> None:
    """Nothing is read for buying that was not looked at as a whole."""
    with pytest.raises(ValueError, match="check the manifest"):
        Manifest(write('{"prompt": "p"}')).items()


def test_file_changed_after_the_check(write: Write) -> None:
    """A file that somebody saves between check and run buys nothing."""
    manifest = Manifest(write('{"prompt": "p"}'))
    assert manifest.check() == []
    write('{"prompt": "p"}', '{"prompt": "q"}')
    with pytest.raises(ValueError, match="was changed after it was checked"):
        next(manifest.items())


def test_file_changed_while_it_is_read(write: Write) -> None:
    """A file that somebody saves during the run stops it, whether its lines are still right or not."""
    for line in ('{"prompt": "q"}', "x" * 20_000):
        manifest = Manifest(write(*['{"prompt": "p"}'] * 2000))
        assert manifest.check() == []
        items = manifest.items()
        next(items)
        write(*[line] * 2000)
        with pytest.raises(ValueError, match="was changed after it was checked"):
            list(items)


def test_file_cut_after_its_last_item_was_read(write: Write) -> None:
    """An end that came too early is no end."""
    path = write('{"prompt": "p"}')
    manifest = Manifest(path)
    assert manifest.check() == []
    items = manifest.items()
    next(items)
    os.truncate(path, 3)
    with pytest.raises(ValueError, match="was changed after it was checked"):
        next(items)


def test_file_changed_while_it_is_checked(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check says nothing about a file that somebody is still writing."""
    path = write('{"prompt": "p"}')
    monkeypatch.setattr("sora_async.batch.manifest.check_pictures", lambda _: os.truncate(path, 3))
    (found,) = problems(path)
    assert "was changed after it was checked" in found[2]


def test_file_removed_after_the_check(write: Write) -> None:
    """A manifest that is gone ends the run with its name."""
    path = write('{"prompt": "p"}')
    manifest = Manifest(path)
    assert manifest.check() == []
    path.unlink()
    with pytest.raises(ValueError, match=r"batch\.jsonl cannot be read any more: No such file"):
        next(manifest.items())


def test_image_removed_after_the_check(write: Write, tmp_path: Path) -> None:
    """A line that is no longer right stops the run and is named."""
    (tmp_path / "1.png").write_bytes(PNG)
    manifest = Manifest(write('{"prompt": "p"}', '{"prompt": "p", "images": ["1.png"]}'))
    assert manifest.check() == []
    (tmp_path / "1.png").unlink()
    items = manifest.items()
    next(items)
    with pytest.raises(ValueError, match=r"is no more: line 2, column 17: images\[0\]"):
        next(items)


def test_standard_input_is_kept_until_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What can be read once is checked and read from a copy, which is gone afterwards; its form is seen from it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "1.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"prompt,images\np,1.png\n")))
    with Manifest("-") as manifest:
        assert (manifest.check(), manifest.check(), manifest.name) == ([], [], "standard input")
        assert list(manifest.items()) == list(manifest.items())
        assert [item.request.images for item in manifest.items()] == [(tmp_path / "1.png",)]
        assert len(list((tmp_path / "temporary").iterdir())) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


def test_standard_input_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trouble with it is a problem like any other, and leaves nothing behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (tmp_path / "file").open("wb") as write_only:
        for stdin, text in ((None, "it is closed"), (io.TextIOWrapper(write_only), "")):
            monkeypatch.setattr(sys, "stdin", stdin)
            with Manifest("-") as manifest:
                (problem,) = manifest.check()
                assert problem.text.startswith(f"standard input cannot be read: {text}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_pipe_with_a_name_is_read_once(tmp_path: Path) -> None:
    """A shell's `<(...)` is a pipe: it is copied as standard input is."""
    os.mkfifo(pipe := tmp_path / "pipe")
    code = "import sys; open(sys.argv[1], 'w').write('{\"prompt\": \"p\"}')"
    with subprocess.Popen([sys.executable, "-c", code, str(pipe)]), Manifest(pipe) as manifest:
        assert manifest.check() == []
        assert list(manifest.items()) == list(manifest.items()) == [BatchItem("p")]
