"""The small CDN that serves results: signed links, ranges, and its own ways to break."""

import email.utils
import re
from collections.abc import Mapping

import attrs

from sora_async.sandbox.links import read_token
from sora_async.sandbox.relay import Relay
from sora_async.sandbox.reply import Answer, Break, Reply, Trickle, html_reply
from sora_async.sandbox.studio import strong_etag

SLOW_PIECES = 10
SLOW_PAUSE_S = 0.02
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
FORGETFUL = {"403": "AccessDenied", "404": "NoSuchKey", "500": "InternalError"}


@attrs.frozen(kw_only=True)
class Fetch:
    """One request to the CDN."""

    target: str
    """Its path and query, exactly as sent."""
    headers: Mapping[str, str]
    """Its headers, whatever their case."""


@attrs.frozen(kw_only=True)
class Film:
    """A finished file."""

    content: bytes
    """All of its bytes."""
    etag: str
    """Its strong ETag, quotes included."""
    modified: str
    """Its Last-Modified date."""


class Cdn:
    """Serves the results of one relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._clip = relay.scenario.clip
        self._clip_etag = strong_etag(self._clip or b"")

    def answer(self, fetch: Fetch, fault: str | None) -> Answer:
        """Answer a GET, or spoil it."""
        wrong = self._relay.links.check(fetch.target, self._relay.wall_s())
        if wrong is None and fault == "expired":
            wrong = "ExpiredToken"
        if wrong is not None:
            return _error(403, wrong)
        if fault in FORGETFUL:
            return _error(int(fault), FORGETFUL[fault])
        film = self._find(read_token(fetch.target))
        if film is None:
            return _error(404, "NoSuchKey")
        if fault == "redirect":
            fresh = self._relay.links.make(
                read_token(fetch.target), self._relay.wall_s() + self._relay.scenario.link_lifetime_s
            )
            return Reply(status=302, headers={"Location": fresh})
        return spoil(fault, _serve(film, fetch.headers, fault))

    def _find(self, token: str) -> Film | None:
        task = self._relay.find_by_token(token)
        if task is None:
            return None
        modified = email.utils.formatdate(self._relay.ended_s(task), usegmt=True)
        if task.job is None or task.job.etag is None:
            return Film(content=self._clip or b"", etag=self._clip_etag, modified=modified)
        return Film(content=task.job.path.read_bytes(), etag=task.job.etag, modified=modified)


def _error(status: int, code: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code></Error>'
    return Reply(status=status, body=body.encode(), headers={"Content-Type": "application/xml"})


def _serve(film: Film, headers: Mapping[str, str], fault: str | None) -> Reply:
    facts = {
        "Content-Type": "video/mp4",
        "ETag": film.etag,
        "Last-Modified": film.modified,
        "Accept-Ranges": "bytes",
    }
    total = len(film.content)
    asked = None if fault == "ignore_range" else _read_range(headers, film)
    if asked is None:
        return Reply(body=film.content, headers=facts)
    start, end = (0, max(asked[1] // 2, 1)) if fault == "wrong_range" else asked
    if start >= end:
        return Reply(status=416, headers={**facts, "Content-Range": f"bytes */{total}"})
    facts["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
    return Reply(status=206, body=film.content[start:end], headers=facts)


def _read_range(headers: Mapping[str, str], film: Film) -> tuple[int, int] | None:
    """Read which bytes are asked for, as a start and an end after the last; None is the whole file."""
    match = RANGE.fullmatch(headers.get("Range", ""))
    if match is None or match[0] == "bytes=-":
        return None
    if headers.get("If-Range", film.etag) not in {film.etag, film.modified}:
        return None
    total = len(film.content)
    first, last = match[1], match[2]
    if not first:
        return max(0, total - int(last)), total
    return int(first), min(total, int(last) + 1) if last else total


def spoil(fault: str | None, reply: Reply) -> Answer:
    """Break a healthy answer; other kinds leave it as it is."""
    middle = len(reply.body) // 2
    match fault:
        case "cut":
            answer: Answer = Break(sent=reply.cut(middle), then="close")
        case "reset" | "stall":
            answer = Break(sent=reply.cut(middle), then=fault)
        case "no_length_cut":
            answer = Break(sent=reply.head(None) + reply.body[:middle], then="close")
        case "slow":
            answer = Trickle(reply=reply, pieces=SLOW_PIECES, pause_s=SLOW_PAUSE_S)
        case "garble":
            answer = attrs.evolve(reply, body=bytes(byte ^ 0xFF for byte in reply.body))
        case "html":
            answer = html_reply("Sign in")
        case _:
            answer = reply
    return answer
