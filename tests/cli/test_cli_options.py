"""From options to a request, a deadline and a place for the result."""

import math
from pathlib import Path

import pytest

from sora_async.cli.options import check_output, make_request, read_timeout


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16:9", "16:9"),
        ("5", 5),
        ("true", True),
        ('"5"', "5"),
        ("null", None),
        ("NaN", "NaN"),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_set_reads_json_or_else_text(text, value):
    """A value is JSON if it parses as such, else the text itself."""
    assert make_request("p", None, [f"name={text}"], None).extra == {"name": value}


def test_set_reads_what_no_parser_can_nest_as_text():
    """Even absurd values end as text."""
    text = "[" * 100_000
    assert make_request("p", None, [f"name={text}"], None).extra == {"name": text}


@pytest.mark.parametrize("assignment", ["name", "=5", " =5"])
def test_set_refuses_what_is_no_assignment(assignment):
    """The message shows the form."""
    with pytest.raises(ValueError, match="NAME=VALUE"):
        make_request("p", None, [assignment], None)


@pytest.mark.parametrize(
    ("name", "option"),
    [("size", "--size"), ("images", "--image"), ("character_url", "--character-url"), ("prompt", "argument PROMPT")],
)
def test_set_refuses_fields_that_have_an_option(name, option):
    """The message says which option to use instead."""
    with pytest.raises(ValueError, match=option):
        make_request("p", None, [f"{name}=1"], None)


def test_omit_leaves_fields_out():
    """A field that the model does not know is not sent."""
    request = make_request("p", None, None, ["size", "images"], size="small")
    assert (request.size, request.images) == (None, None)


def test_omit_refuses_what_cannot_be_left_out():
    """The message lists what can."""
    with pytest.raises(ValueError, match="--omit takes images, orientation"):
        make_request("p", None, None, ["prompt"])


@pytest.mark.parametrize("link", ["https://x.y/a.png", "HTTP://x.y/a.png", "data:image/png;base64,AA"])
def test_image_that_is_a_link_stays_one(link):
    """Links are told from files by their beginning, in any case."""
    assert make_request("p", [link], None, None).images == (link,)


@pytest.mark.parametrize(("given", "read"), [(0.0, 0.0), (2.5, 2.5), (math.inf, None)])
def test_timeout_inf_is_no_deadline(given, read):
    """Infinity waits for ever; 0 looks once."""
    assert read_timeout(given) == read


def test_timeout_refuses_what_is_no_number():
    """Not a number is no deadline."""
    with pytest.raises(ValueError, match="--timeout"):
        read_timeout(math.nan)


def test_output_refuses_what_is_no_regular_file(tmp_path):
    """Even --force replaces nothing but files."""
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no regular file"):
        check_output(link, may_replace=True)


def test_output_refuses_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    """The folder is asked, as some users may write anywhere and tests may run as them."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match="nothing can be written"):
        check_output(tmp_path / "cat.mp4", may_replace=False)


def test_output_defaults_to_the_current_folder(tmp_path, monkeypatch):
    """Without -o the current folder is what is checked."""
    monkeypatch.chdir(tmp_path)
    assert check_output(None, may_replace=False) is None
    Path(tmp_path).rmdir()
    with pytest.raises(ValueError, match="folder"):
        check_output(tmp_path / "x.mp4", may_replace=False)
