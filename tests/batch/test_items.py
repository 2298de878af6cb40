"""What goes into a batch, and the ledger of those who keep none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async import VideoRequest, batch
from sora_async.batch import BatchItem, Forgetful
from sora_async.batch.ledger import MOVES, Stage, check_move
from sora_async.errors import LedgerError


def test_item_of_a_prompt_is_a_request_with_the_defaults() -> None:
    """Most lines are a prompt."""
    assert BatchItem("a cat").request == VideoRequest("a cat")


@pytest.mark.parametrize("key", ["k", "sora-2:1", "猫", " spaced ", "x" * 200])
def test_item_key_may_be_any_printable_text(key: str) -> None:
    """It never becomes the name of a file as it is."""
    assert BatchItem("a", key=key).key == key


@pytest.mark.parametrize("key", ["", "x" * 201, "two\nlines", "\0", 7])
def test_item_key_that_cannot_be_shown_is_refused(key: Any) -> None:
    """It is to be typed again, to settle an entry."""
    with pytest.raises(ValueError, match="key must be"):
        BatchItem("a", key=key)


@pytest.mark.parametrize("output", ["a.mp4", "cats/a b.mp4", "猫.mp4", "a..b.mp4"])
def test_item_output_is_a_file_inside_the_folder(output: str) -> None:
    """With folders of its own, if wanted."""
    assert BatchItem("a", output=output).output == output


@pytest.mark.parametrize(
    ("output", "path"), [("./a.mp4", "a.mp4"), ("a//b.mp4", "a/b.mp4"), ("./a/./b.mp4", "a/b.mp4")]
)
def test_item_output_has_one_form(output: str, path: str) -> None:
    """What means the same file is the same text."""
    assert BatchItem("a", output=output) == BatchItem("a", output=path)


@pytest.mark.parametrize(
    ("outputs", "advice"),
    [
        ([7, "a\nb", "\ud800"], "give a text of printable characters"),
        (["/etc/passwd", "//a/b.mp4", "C:/a.mp4", "c:\\a.mp4", "\\a.mp4", "\\\\a\\b.mp4"], "leave out the drive"),
        (["a\\b.mp4", "..\\a.mp4"], "write / between folders"),
        (["..", "../a.mp4", "a/../b.mp4", "a/../../b.mp4"], "leave out '..'"),
        (["", ".", "./", "a/", "a/."], "name the file, too"),
        ([".hidden", "a/.hidden", "..."], "a dot at the begin would hide it"),
        (["c:a.mp4", "a?.mp4", "a*.mp4", 'a".mp4', "a<b.mp4", "a>b.mp4", "a|b.mp4"], "leave out < > : "),
        ([" ", "a.", "a ", "a /b.mp4", "a./b.mp4"], "no dot or space at the end of a name"),
        (["con.mp4", "d/NUL", "aux/a.mp4", "COM¹.mp4"], "is a device on Windows, so choose another name"),
        (["n" * 241, "猫" * 81, "a/" + "n" * 241 + "/b"], "a name may have 240 bytes"),
    ],
)
def test_item_output_that_is_no_safe_name_is_refused(outputs: list[Any], advice: str) -> None:
    """On any system, since a manifest travels; it is said what to write."""
    for output in outputs:
        with pytest.raises(ValueError, match=r"output must be a file inside the batch's folder, such as ") as refused:
            BatchItem("a", output=output)
        assert advice in str(refused.value)


@given(st.text())
def test_item_output_never_leaves_the_folder(output: str) -> None:
    """Whatever is given, it is refused or inside."""
    try:
        accepted = BatchItem("a", output=output).output
    except ValueError:
        return
    assert accepted is not None
    assert not accepted.startswith("/")
    assert not {"", ".", ".."} & set(accepted.split("/"))


async def test_forgetful_ledger_remembers_nothing() -> None:
    """So its memory does not grow."""
    ledger = Forgetful()
    await ledger.open("me")
    for intend, stage in ((False, Stage.PLANNED), (True, Stage.INTENDED)):
        entry = await ledger.enter("k", {}, intend=intend)
        assert entry is not None
        assert entry.stage is stage
    assert [entry async for entry in ledger.entries()] == []
    await ledger.close()


def test_every_stage_has_its_moves() -> None:
    """And nothing leads back into an open purchase but a new plan."""
    assert set(MOVES) == set(Stage)
    assert [stage for stage in Stage if Stage.INTENDED in MOVES[stage]] == [Stage.PLANNED]
    check_move("k", Stage.PLANNED, Stage.INTENDED)
    with pytest.raises(LedgerError, match="'k' is submitted in the ledger and cannot become planned"):
        check_move("k", Stage.SUBMITTED, Stage.PLANNED)


def test_unknown_name_of_batches_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Ledgr'"):
        batch.Ledgr  # noqa: B018
