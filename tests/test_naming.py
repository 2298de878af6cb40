import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.naming import file_name

IDS = st.text(st.characters(codec=None), max_size=200)
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    "conin$",
    "conout$",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


@given(IDS)
def test_file_name_of_any_id_is_legal(task_id):
    """Every id, lone surrogates included, gives a name that all file systems take."""
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?-[0-9a-f]{16}\.mp4", file_name(task_id))


@given(IDS, IDS)
def test_file_name_of_two_ids_differs(one, other):
    """Names are equal exactly where the ids are, also when letter case does not count."""
    assert (file_name(one).casefold() == file_name(other).casefold()) == (one == other)


@pytest.mark.parametrize(
    ("task_id", "slug"),
    [("sora-2:task_01KABC", "sora-2-task-01kabc"), ("../../etc/passwd", "etc-passwd"), ("猫", "task"), ("CON", "con")],
)
def test_file_name_keeps_what_is_readable(task_id, slug):
    """The readable part shows the id as far as it can."""
    assert file_name(task_id)[:-21] == slug


def test_file_name_of_another_kind_ends_as_asked():
    """The suffix is the caller's."""
    assert file_name("grok:1", ".webm").endswith(".webm")


@pytest.mark.parametrize("device", [*sorted(DEVICES), "COM¹", "LPT³", "con.txt", "NUL ", "aux."])
def test_file_name_of_a_windows_device_is_none(device):
    """Windows takes a name for a device by what stands before its first dot; the digest stands there too."""
    name = file_name(device)
    assert name.partition(".")[0] not in DEVICES
    assert not set(name) & set('<>:"/\\|?*')
    assert name.isascii()
    assert not name.endswith((".", " "))


@given(IDS)
def test_file_name_leaves_room_for_that_of_the_part(task_id):
    """Every file system takes 143 bytes, the encrypted ones included, and the part's name is the longest."""
    assert len(f".{file_name(task_id)}.part.json") < 143


@given(IDS, IDS)
def test_file_name_shows_the_label_and_is_told_apart_by_the_id(task_id, label):
    """The label is for people, the digest for file systems."""
    name = file_name(task_id, label=label)
    assert name[:-21] == file_name(label)[:-21]
    assert name[-20:] == file_name(task_id)[-20:]
