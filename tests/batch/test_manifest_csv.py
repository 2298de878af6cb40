"""Manifests in CSV: each cell becomes what its field wants, and each mistake has its cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from manifests import DIGEST, PNG, Write, problems, read, writer

from sora_async.batch.item import BatchItem
from sora_async.models import VideoRequest


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a manifest."""
    return writer(tmp_path)


def test_csv_cells_have_the_types_of_their_fields(write: Write) -> None:
    """Every cell is text; what it stands for is the field's business."""
    path = write(
        "prompt, duration ,watermark,private,seed,style,flag,key",
        '"a cat, with ""quotes"" and\n two lines",15,FALSE, yes,-1.5e3,007,TRUE,k 1',
        "",
        ",,,,",
        "é,,,0",
        name="batch.CSV",
    )
    first = VideoRequest(
        'a cat, with "quotes" and\n two lines',
        duration=15,
        watermark=False,
        private=True,
        extra={"seed": -1500.0, "style": "007", "flag": True},
    )
    assert read(path) == [BatchItem(first, key="k 1"), BatchItem(VideoRequest("é", private=False))]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("https://a.test/1.png", ["https://a.test/1.png"]),
        ("1.png https://a.test/1.png", ["1.png", "https://a.test/1.png"]),
        ("my picture.png", ["my picture.png"]),
        ('"[""my picture.png"", ""1.png""]"', ["my picture.png", "1.png"]),
    ],
)
def test_csv_images(write: Write, tmp_path: Path, cell: str, names: list[str]) -> None:
    """One picture, several with spaces between, or a JSON list."""
    for name in ("1.png", "my picture.png"):
        (tmp_path / name).write_bytes(PNG)
    (item,) = read(write("prompt,images", f"p,{cell}", name="batch.csv"))
    assert item.request.images == tuple(name if "://" in name else tmp_path / name for name in names)


@pytest.mark.parametrize(
    ("rows", "place", "text"),
    [
        (["prompt;duration", "p;1"], (1, 1), "with commas between them"),
        (["a,b", "p,1"], (1, 1), "one of them 'prompt'"),
        (["prompt,a, a", "p,1,2"], (1, 10), "the first row names 'a' twice"),
        (["prompt,,a", "p,1,2"], (1, 8), "this column has no name"),
        (["prompt", 'a cat, "or" so'], (2, 12), "a comma must follow the closing quote"),
        (["prompt", "a cat, or so"], (2, 7), "more cells than the first row has names"),
        (["prompt", '"a cat', "b"], (2, 1), "the quote that begins here is never closed"),
        (["prompt,n", '"a', 'b"x,1'], (3, 3), "a comma must follow the closing quote"),
        (["prompt,n", '"a', 'b",1,2'], (3, 6), "more cells than"),
        (["prompt,duration", "p,10s"], (2, 3), "duration must be a whole number of seconds from 1, not '10s'"),
        (["prompt,duration", ",10"], (2, 1), "there is no prompt"),
        (["prompt,images", f"p,{'[' * 100_000}"], (2, 3), "images must be a list"),
        (["prompt,images", f"p,{'[' * 900}{']' * 900}"], (2, 3), "images must be a list"),
        (["prompt,images", "p,no.png " + "n" * 300], (2, 3), "images[0] is not a readable file: "),
        (["prompt,frame", f'p,"{DIGEST}"'], (2, 3), "frame holds only the digest that a ledger keeps of a data: URI"),
    ],
)
def test_bad_csv_is_named(write: Write, rows: list[str], place: tuple[int, int], text: str) -> None:
    """Mistakes of CSV have the line and the column of the cell."""
    (found,) = problems(write(*rows, name="batch.csv"))
    assert found[:2] == place
    assert text in found[2]


def test_csv_cells_without_a_name_may_be_blank(write: Write) -> None:
    """Spreadsheets write commas for columns that nobody uses."""
    assert read(write("prompt,,", "p, ,", name="batch.csv")) == [BatchItem("p")]


def test_csv_cell_with_a_large_data_uri(write: Write) -> None:
    """A picture as data: URI is longer than what the standard library takes for a cell."""
    uri = f"data:image/png;base64,{'a' * 200_000}"
    assert read(write("prompt,images", f'p,"{uri}"', name="batch.csv"))[0].request.images == (uri,)


def test_quote_that_is_open_for_too_long(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten quote does not read a whole file into one cell."""
    monkeypatch.setattr("sora_async.batch.rows.MAX_LINE_BYTES", 1 << 20)
    found = problems(write("prompt", '"a', *["x" * 1000] * 1100, name="batch.csv"))
    assert found[0] == (2, 1, "the quote that begins here is never closed: close it, or double it")
