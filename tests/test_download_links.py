import pytest

from sora_async.download.links import parse_link, show_link
from sora_async.errors import UnsafeURLError


@pytest.mark.parametrize(
    "url",
    ["https://cdn.example/a%2Fb%20c/v.mp4?sig=%2B%2f%3D+x&e=1~!'()*", "https://h.example:8443/x//y/../z?a=b?c/d"],
)
def test_link_signed_keeps_every_byte(url):
    """Percent-encodings are part of the signature: none is added, taken or changed."""
    assert str(parse_link(url)) == url


def test_link_not_ascii_is_encoded():
    """Spaces and characters beyond ASCII are percent-encoded as UTF-8, what is encoded stays."""
    assert str(parse_link(" https://h.example/猫 a%2F.mp4\n")) == "https://h.example/%E7%8C%AB%20a%2F.mp4"


def test_link_from_odd_header_bytes_is_encoded():
    """Bytes of a header that are no UTF-8 reach the server as they came."""
    assert str(parse_link("https://h.example/\udcff")) == "https://h.example/%FF"


@pytest.mark.parametrize(
    ("location", "joined"),
    [
        ("/k%2F?b=%2B", "https://h.example/k%2F?b=%2B"),
        ("x", "https://h.example/a/x"),
        ("//o.example/y", "https://o.example/y"),
        ("https://o.example/%2F", "https://o.example/%2F"),
    ],
)
def test_link_relative_is_joined(location, joined):
    """A redirect may name only what differs from the link before."""
    assert str(parse_link(location, base=parse_link("https://h.example/a/b?c"))) == joined


@pytest.mark.parametrize(
    "url",
    [
        "http://h.example/",
        "ftp://h.example/",
        "file:///etc/passwd",
        "data:video/mp4;base64,AA",
        "//h.example/",
        "x",
        "",
        "https://user@h.example/",
        "https://user:pass@h.example/",
        "https://@h.example/",
        "https://[::1]@/a",
        "https://[::1]@:443/a",
        "https://[]/a",
        "https://8.8.8.8@127.0.0.1/",
        "https:///x",
        "https:h.example",
        "https://a..b/",
        "https://-a/",
        "https://a b/",
        "https://①②⑦.0.0.1/",
        "https://h.example:x/",
        "https://h.example:99999/",
        "https://[::1/",
        "https://h%2eexample/",
        "https://h\\@x/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
        "https://h.example\t.x/",
    ],
)
def test_link_strange_is_refused(url):
    """Only https links with a plain host and no user name are followed."""
    with pytest.raises(UnsafeURLError) as caught:
        parse_link(url)
    assert not caught.value.retryable
    assert "pass" not in str(caught.value)


def test_link_local_may_be_http():
    """http is for relays on this machine or in its network."""
    assert parse_link("http://127.0.0.1:8000/v", local=True).port == 8000


@pytest.mark.parametrize("location", ["http://h.example/", "HTTP://h.example/a", "ftp://h.example/", "//me@h.example/"])
def test_link_of_a_redirect_stays_https(location):
    """A redirect is judged like the first link: it leads neither back to http nor to another scheme."""
    with pytest.raises(UnsafeURLError):
        parse_link(location, base=parse_link("https://h.example/a/b"))


@pytest.mark.parametrize("path", ["/v%2F.mp4?sig=SECRET#SECRET", "/SECRET/v.mp4", "?SECRET", ""])
def test_link_shown_has_no_signature(path):
    """Messages show where a link leads, and nothing that could open it."""
    assert show_link(parse_link(f"https://h.example:8443{path}")) == "https://h.example:8443"
