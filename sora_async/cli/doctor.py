"""What may be wrong with the key, the base URL, the network, the clock or a proxy. Creates nothing."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import secrets
from collections.abc import Iterator
from typing import Literal

from sora_async import (
    APIError,
    AuthenticationError,
    Client,
    DecodeError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    Retry,
    ServerError,
    SoraError,
    Timeouts,
    __version__,
)
from sora_async.cli.failures import Job
from sora_async.cli.findings import Finding
from sora_async.cli.network import check_network
from sora_async.cli.reporting import Output
from sora_async.cli.running import one_end
from sora_async.cli.wording import Result

_EXTRAS = {"cli": ("typer", "rich"), "sandbox": ("av", "PIL")}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
# What the answer to a query of a made-up id means. The first match speaks.
_MEANINGS: tuple[tuple[tuple[type[SoraError], ...], Literal["warning", "problem"], str, str], ...] = (
    ((AuthenticationError,), "problem", "the relay does not accept the key", "copy it again from the relay's console"),
    ((NotFoundError, DecodeError), "problem", "this is not the API", "correct --base-url or SORA_BASE_URL"),
    ((PermissionDeniedError,), "problem", "the key may not do this", "ask the relay what this key may use"),
    ((QuotaError,), "warning", "the account is out of money", "top it up at the relay"),
    ((RateLimitError, OverloadedError, ServerError), "warning", "the relay is in trouble", "try again later"),
    ((APIError,), "warning", "the relay's answer says nothing about the key", "create something cheap to be sure"),
    ((SoraError,), "problem", "the relay does not answer", "check the network and the base URL"),
)
_ONCE = Retry(tries=1)
_LIMITS = Timeouts(query=30.0)


def examine(base_url: str | None, *, is_json: bool) -> int:
    """Check one thing after the other, and say each finding as it comes.

    Args:
        base_url: the relay's address; None takes SORA_BASE_URL, or the library's default.
        is_json: whether stdout is for programs.

    Returns:
        The exit code: 0 if there is no problem, else 1.
    """
    output = Output(is_json=is_json)
    counts = {"ok": 0, "warning": 0, "problem": 0}
    with one_end(Job(verb="doctor"), output):
        for finding in _check_all(base_url):
            counts[finding.level] += 1
            output.fact(finding.facts(), finding.line())
        count = counts["problem"]
        note = f"{count} {'problem' if count == 1 else 'problems'} found" if count else "No problem found"
        output.done(Result(facts={"problems": count, "warnings": counts["warning"]}, text="", note=note))
    return 1 if count else 0


def _check_all(base_url: str | None) -> Iterator[Finding]:
    yield _check_versions()
    key = os.environ.get("SORA_API_KEY", "")
    key_finding = _check_key(key)
    yield key_finding
    # Without a usable key the rest is checked all the same: the key in use then is none.
    has_key = key_finding.level != "problem"
    try:
        client = Client(key if has_key else "none", base_url, retry=_ONCE, timeouts=_LIMITS)
    except ValueError as error:
        yield Finding(check="base url", level="problem", text=str(error), advice="correct --base-url or SORA_BASE_URL")
        return
    source = (
        "from --base-url" if base_url else "from SORA_BASE_URL" if os.environ.get("SORA_BASE_URL") else "by default"
    )
    yield Finding(check="base url", text=f"{client.base_url} ({source})")
    yield _check_proxies()
    is_reachable = True
    for finding in check_network(client.base_url):
        is_reachable = is_reachable and finding.level != "problem"
        yield finding
    if is_reachable and has_key:
        yield asyncio.run(_check_access(client))


def _check_versions() -> Finding:
    parts = [
        f"Python {platform.python_version()}",
        f"sora_async {__version__}",
        f"aiohttp {importlib.metadata.version('aiohttp')}",
    ]
    for extra, modules in _EXTRAS.items():
        is_there = all(importlib.util.find_spec(module) for module in modules)
        parts.append(f"extra {extra}: {'yes' if is_there else 'no'}")
    return Finding(check="versions", text=", ".join(parts))


def _check_key(key: str) -> Finding:
    if not key.strip():
        advice = "export your relay's key, or preview without one with --sandbox"
        return Finding(check="key", level="problem", text="SORA_API_KEY is not set", advice=advice)
    try:
        Client(key)
    except ValueError as error:
        return Finding(check="key", level="problem", text=f"SORA_API_KEY is not usable: {error}")
    if key.strip()[0] in "\"'" or key.strip()[-1] in "\"'":
        advice = "remove them"
        return Finding(check="key", level="warning", text="SORA_API_KEY has quotation marks in it", advice=advice)
    return Finding(check="key", text="SORA_API_KEY is set (it is never shown)")


def _check_proxies() -> Finding:
    names = [name for name in (*_PROXIES, *map(str.lower, _PROXIES)) if os.environ.get(name)]
    if not names:
        return Finding(check="proxy", text="no proxy variable is set, and none would be used")
    return Finding(
        check="proxy",
        level="warning",
        text=f"{', '.join(names)} is set, but this client connects directly",
        advice="if you need the proxy, lend the Client an aiohttp session made with trust_env=True or proxy=...",
    )


async def _check_access(client: Client) -> Finding:
    """Ask for a task that cannot be there: the kind of refusal tells whether the key is good."""
    refusal: SoraError | None = None
    async with client:
        try:
            await client.query(f"doctor-{secrets.token_hex(8)}")
        except SoraError as error:
            refusal = error
    return judge_access(refusal)


def judge_access(error: SoraError | None) -> Finding:
    """Judge the key by the answer to a query of an id that does not exist.

    Args:
        error: what the query raised, None if the relay showed a task.
    """
    is_lost = isinstance(error, NotFoundError) and "check the base URL" in error.message
    if error is None or (isinstance(error, NotFoundError) and not is_lost):
        return Finding(check="access", text="the relay answers and accepts the key")
    _, level, meaning, advice = next(entry for entry in _MEANINGS if isinstance(error, entry[0]))
    return Finding(check="access", level=level, text=f"{meaning}: {error}", advice=advice)
