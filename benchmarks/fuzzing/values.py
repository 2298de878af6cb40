"""Oracles for single values and headers: texts, links, numbers, times, names, addresses."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from benchmarks.fuzzing.rules import check_error, check_text, hold
from sora_async import Growing, State, UnsafeURLError, VideoTask
from sora_async.addresses import is_loopback, is_public
from sora_async.download.links import parse_link, show_link
from sora_async.download.ranges import ask_range, read_content_range, read_etag, read_retry_after
from sora_async.naming import file_name
from sora_async.wire.failure import parse_retry_after
from sora_async.wire.values import clean_text, read_link, read_progress, read_text, read_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LAYOUT = re.compile(r"[\s\x00-\x20\x7f]")
_MUST_STAY = re.compile(r"[!-~]+")
# From the registries of special-purpose addresses; the package asks Python's ipaddress instead.
_BLOCKS = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
    "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
)
_PRIVATE = [ipaddress.IPv4Network(block) for block in _BLOCKS.split()]


def check_values(value: Any) -> None:
    """Each reader of a single value gives None or something sane, and leaves what it gave as it is."""
    text = read_text(value)
    if text is not None:
        check_text(text, lines=True)
        hold(text.strip(), "a blank text came out")
        hold(clean_text(text) == text and read_text(text) == text, f"{text!r:.100} is not clean yet")
    link = read_link(value)
    if link is not None:
        hold(re.match("https?://.", link, re.IGNORECASE) and not _LAYOUT.search(link), f"{link!r:.100} is no link")
        hold(read_link(link) == link, f"{link!r:.100} is not clean yet")
    for whole in (1.0, 100.0):
        progress = read_progress(value, whole=whole)
        hold(progress is None or 0.0 <= progress <= 1.0, f"progress is {progress!r}")
    moment = read_time(value)
    if moment is not None:
        hold(moment.tzinfo is UTC and 2000 <= moment.year < 2100, f"the time is {moment!r}")
        hold(read_time(moment.isoformat()) == moment, f"{moment!r} is read as {read_time(moment.isoformat())!r}")


def check_retry_after(case: tuple[str, str]) -> None:
    """No header asks for less than nothing or for more than five minutes, whatever the server's clock."""
    header, date = case
    for seconds in (parse_retry_after(header, NOW), parse_retry_after(header, NOW, date)):
        hold(seconds is None or 0.0 <= seconds <= 300.0, f"{header!r} asks for {seconds!r} s")
    seconds = parse_retry_after(header, NOW)
    hold(read_retry_after({"Retry-After": header}, NOW) == (seconds or 0.0), "a download reads it otherwise")


def check_ranges(case: tuple[str, str]) -> None:
    """What a file server's headers say is a number, a usable tag, or nothing; no header can be put into a request."""
    etag, content_range = case
    first, total = read_content_range({"Content-Range": content_range})
    for number in (first, total):
        hold(number is None or str(number) in re.sub(r"\b0+(?=\d)", "", content_range), f"{number!r} is not in it")
    strong = read_etag({"ETag": etag})
    hold(strong is None or (strong == etag.strip() and strong.startswith('"')), f"{strong!r} is no strong tag")
    for name, text in ask_range(7, etag).items():
        hold(
            _MUST_STAY.fullmatch(text) and (name, text) in {("Range", "bytes=7-"), ("If-Range", etag)},
            f"{name}: {text}",
        )


def check_link(case: tuple[str, bool]) -> None:
    """A link that may be followed leads where a second reader thinks too, and its signed parts stay as they are."""
    url, is_local = case
    try:
        link = parse_link(url, local=is_local)
    except UnsafeURLError as error:
        check_error(error)
        return
    hold(link.scheme in ({"https", "http"} if is_local else {"https"}), f"the scheme is {link.scheme!r}")
    hold(link.raw_user is None and link.raw_password is None and link.raw_host, "a user name, or no host")
    hold(str(link).isascii() and str(link).isprintable() and " " not in str(link), "it is not ready to be sent")
    hold(str(parse_link(str(link), local=is_local)) == str(link), "read again it is another")
    shown = show_link(link)
    hold("?" not in shown and "#" not in shown, f"{shown!r} shows its signature")
    if _MUST_STAY.fullmatch(stripped := url.strip()):
        try:
            plain = urlsplit(stripped)
        except ValueError:
            hold(
                ":" in (link.raw_host or ""), f"nobody else understands {stripped!r}"
            )  # no IPv6 address: leads nowhere
            return
        hold(
            (link.raw_host or "").lower() == (plain.hostname or "").lower(),
            f"{link.raw_host!r}, not {plain.hostname!r}",
        )
        hold(link.raw_query_string == plain.query, "the query was changed")


def check_name(task_id: str) -> None:
    """A file's name is legal everywhere, whatever the id."""
    name = file_name(task_id)
    hold(re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?-[0-9a-f]{16}\.mp4", name), f"{name!r} is not legal")
    hold(file_name(task_id + "x") != name and file_name(task_id) == name, "two ids share a name")


def check_address(text: str) -> None:
    """Public is what no registry reserves; an IPv4 address counts also inside an IPv6 one."""
    try:
        plain = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        hold(not is_public(text) and not is_loopback(text), f"{text!r} passed for an address")
        return
    hold(not (is_public(text) and is_loopback(text)), f"{text!r} is public and loopback")
    if plain.version == 4:
        hold(is_public(text) == _is_free(int(plain)), f"{text!r} is public: {is_public(text)}")
        return
    number = int(plain)
    if number >> 32 in {0xFFFF, 0x64FF9B << 64}:
        hold(is_public(text) == _is_free(number & 0xFFFFFFFF), f"{text!r} is not what it holds")
    elif number >> 112 == 0x2002:
        hold(is_public(text) == _is_free(number >> 80 & 0xFFFFFFFF), f"{text!r} is not what it holds")
    elif number >> 125 != 1 or number >> 105 == 0x20010000 >> 9 or number >> 96 == 0x20010DB8:
        hold(not is_public(text), f"{text!r} is public")


def _is_free(number: int) -> bool:
    address = ipaddress.IPv4Address(number)
    return not any(address in block for block in _PRIVATE)


def check_pacing(case: tuple[float, float, float, list[float | None]]) -> None:
    """Whatever progress a relay tells, the times between polls stay between the pacing's bounds."""
    first, factor, span, told = case
    delays = Growing(first, factor, first + span).delays()
    next(delays)
    for progress in told:
        task = None if progress is None else VideoTask(id="a", status="x", state=State.RUNNING, progress=progress)
        delay = delays.send(task)
        hold(math.isfinite(delay) and first <= delay <= first + span, f"a delay of {delay!r} s")
    delays.close()
