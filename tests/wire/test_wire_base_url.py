"""Base URLs as users paste them: all forms mean one address, and the key travels only where it is safe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.wire.request import DEFAULT_BASE_URL, is_local_base, normalise_base

PASTED = {
    "https://api.chainhub.tech": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/v1": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/v1/": DEFAULT_BASE_URL,
    "https://api.chainhub.tech//v1//": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/V1": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/v1/video/create": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/v1/video/query?id=sora-2:task_1#x": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/v1/chat/completions": DEFAULT_BASE_URL,
    "https://api.chainhub.tech/sora/v1/characters": DEFAULT_BASE_URL,
    "api.chainhub.tech/v1": DEFAULT_BASE_URL,
    "//api.chainhub.tech/v1": DEFAULT_BASE_URL,
    ' "https://API.ChainHub.tech/v1" \n': DEFAULT_BASE_URL,
    "`https://api.chainhub.tech`": DEFAULT_BASE_URL,
    "<https://api.chainhub.tech>": DEFAULT_BASE_URL,
    "HTTPS://api.chainhub.tech:443": DEFAULT_BASE_URL,
    "https://relay.example:8443/v1": "https://relay.example:8443",
    "https://relay.example/proxy/v1/video/create": "https://relay.example/proxy",
    "https://relay.example/sora/v1": "https://relay.example/sora",
    "https://relay.example//proxy//v2/": "https://relay.example/proxy/v2",
    "https://relay.example/X": "https://relay.example/X",
    "X.example": "https://x.example",
    "https://relay.example/v1beta": "https://relay.example/v1beta",
    "https://relay.example/?key=secret": "https://relay.example",
    "https://[2001:db8::1]:8443/v1": "https://[2001:db8::1]:8443",
    "http://localhost:80": "http://localhost",
    "http://localhost:8000/v1": "http://localhost:8000",
}


@pytest.mark.parametrize(("pasted", "base"), PASTED.items())
def test_normalise_base_pasted(pasted: str, base: str) -> None:
    """However it is pasted, the same base comes out, and it stays the same when done again."""
    assert normalise_base(pasted) == base
    assert normalise_base(base) == base


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "empty"),
        (' "" ', "empty"),
        ("ftp://relay.example", "must begin with https"),
        ("file:///etc/passwd", "must begin with https"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://re lay.example", "no host"),
        ("https://relay%2eexample", "no host"),
        ("https://re\x00lay.example", "no host"),
        ("https://user:secret@relay.example", "user name"),
        ("secret@relay.example", "user name"),
        ("https://relay.example:secret", "bad host or port"),
        ("https://relay.example:99999", "bad host or port"),
        ("https://relay.example:0", "bad port"),
        ("https://[::1", "bad host or port"),
        ("https://relay.example/a secret", "space"),
        ("https://relay.example/<key>", "space or quote"),
        ("http://relay.example", "clear text"),
        ("http://8.8.8.8", "clear text"),
        ("http://[2001:4860:4860::8888]", "clear text"),
        ("http://[::ffff:8.8.8.8]", "clear text"),
        ("http://134744072", "clear text"),
        ("http://0x08080808", "clear text"),
        ("http://8.8", "clear text"),
    ],
)
def test_normalise_base_unusable(url: str, said: str) -> None:
    """What cannot be used is refused with the reason, which never repeats the address."""
    with pytest.raises(ValueError, match=f"^the base URL .*{said}") as caught:
        normalise_base(url)
    assert "secret" not in str(caught.value)
    assert "relay" not in str(caught.value)


LOCAL = [
    "localhost",
    "localhost.",
    "127.0.0.1",
    "127.9.9.9",
    "[::1]",
    "10.0.0.5",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.1.1",
    "[fe80::1]",
    "[fd00::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:169.254.1.1]",
    "relay",
    "relay.local",
    "relay.internal",
    "app.localhost",
]


@pytest.mark.parametrize("host", LOCAL)
def test_is_local_base_local(host: str) -> None:
    """This machine and private networks are local, and there http is allowed."""
    assert is_local_base(f"https://{host}:8000")
    assert normalise_base(f"http://{host}:8000/v1") == f"http://{host}:8000"


@pytest.mark.parametrize(
    "host", ["relay.example", "8.8.8.8", "[::ffff:8.8.8.8]", "134744072", "0x7f000001", "localhost.example"]
)
def test_is_local_base_public(host: str) -> None:
    """Whatever could be reached over the Internet is not local."""
    assert not is_local_base(f"https://{host}")


def test_is_local_base_without_host() -> None:
    """No host is not local."""
    assert not is_local_base("")


@given(st.text() | st.from_regex(r"(https?://)?[a-z.:/@\[\]%v1?#]*", fullmatch=True))
def test_normalise_base_any_text(text: str) -> None:
    """Any text gives a base that stays the same, or a ValueError."""
    try:
        base = normalise_base(text)
    except ValueError:
        return
    assert normalise_base(base) == base
