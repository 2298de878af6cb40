"""No connection is made to a machine that is not on the public Internet, however it is spelt."""

import contextlib
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from file_server import Answer, Files, serving, tiny_mp4
from test_download import ONCE, TWICE, downloader

from sora_async.addresses import is_public
from sora_async.download import downloader as downloading
from sora_async.download import guard
from sora_async.errors import DownloadError, UnsafeURLError

PRETENDED = "127.0.0.2"

# Names are left out, except localhost: asking for them would reach beyond this machine.
HOSTS = """
127.0.0.1 127.0.0.2 127.1.2.3 127.255.255.254 0.0.0.0 localhost LOCALHOST LocalHost
127.1 127.0.1 0 2130706433 017700000001 0177.0.0.1 0177.0.0.01 0x7f000001 0x7F000001 0x7f.0.0.1 0x7f.1 127.0x1
0x7f.0x0.0x0.0x1 0177.0x0.0.1 127.000.000.001 000127.0.0.1 00000000177.0.0.1 0x0000007f.0.0.1 127.0.0.0x1 127.0.0.01
[::1] [::] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::0001] [0::1] [::127.0.0.1]
[::ffff:127.0.0.1] [::FFFF:7f00:1] [::ffff:7f00:0001] [0:0:0:0:0:ffff:127.0.0.1] [::ffff:0:127.0.0.1] [::ffff:0.0.0.0]
[64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [64:ff9b::a9fe:a9fe] [2002:7f00:1::] [2002:7f00:0001::1]
[2002:a9fe:a9fe::1] [2001:0:7f00:1::80ff:fffe] [fe80::1] [fec0::1] [fc00::1] [fd00::1] [ff02::1] [::1%25lo] [::1%lo]
10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 192.0.0.8 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255
①②⑦.0.0.1 127。0。0。1 １２７.0.0.1 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ %31%32%37.0.0.1 127.0.0.1%00 me@127.0.0.1 me:pw@127.0.0.1
8.8.8.8@127.0.0.1 @127.0.0.1 8.8.8.8%40127.0.0.1 8.8.8.8\\@127.0.0.1 127.0.0.1\\.example.org
[127.0.0.1] [::ffff:127.0.0.1].example
١٢٧.٠.٠.١ १२७.०.०.१ ¹²⁷.⁰.⁰.¹ 𝟏𝟐𝟕.𝟎.𝟎.𝟏 127．0．0．1 127｡0｡0｡1 0ｘ7f.1 ⓪.0.0.0 127.0.0.1\u200b 127.0\u00ad.0.1 [::①]
[::ffff:0x7f000001] [::127.1] 4294967297 383.0.0.1 0x7f.0x00000001 0177.1 00 0x0 0.0.0 127..1 -1 ::1 [[::1]] １２７.１
[2001:db8:0:1:0:5efe:7f00:1] [64:ff9b::10.0.0.1] [2002:c0a8:1::1] [::ffff:169.254.169.254] [::ffff:a9fe:a9fe]
[fd00:ec2::254] [fe80::1%251] 169.254.170.2 100.127.255.254 127.0.0.1%2f@8.8.8.8 127.0.0.1%23@8.8.8.8
a:b@[::1] [127.0.0.1]. 127.0.0.1\\@8.8.8.8 %40127.0.0.1 local%68ost :@127.0.0.1 [127.0.0.1 127.0.0.1]
""".split()  # noqa: SIM905 a list of this length is easier to read as text


@pytest.fixture(scope="module")
def listener():
    """A socket on every address of this machine that accepts what comes."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        server.setblocking(False)
        yield server


@pytest.mark.parametrize("host", HOSTS)
async def test_guard_opens_no_connection(host, listener, tmp_path):
    """Each spelling is refused for good, before anything is sent."""
    async with downloader(ONCE, local=False) as fetcher:
        with pytest.raises(UnsafeURLError):
            await fetcher.fetch(f"https://{host}:{listener.getsockname()[1]}/v.mp4", tmp_path / "cat.mp4")
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_guard_has_many_spellings():
    """The list above is the test: it must not shrink."""
    assert len(set(HOSTS)) >= 120


async def test_guard_refuses_http(tmp_path):
    """Without a local relay only https will do, also for a public host."""
    async with downloader(ONCE, local=False) as fetcher:
        with pytest.raises(UnsafeURLError, match="https"):
            await fetcher.fetch("http://8.8.8.8/", tmp_path / "cat.mp4")


@pytest.fixture
def _pretend(monkeypatch):
    """Take one address of this machine for a public one; for the others the guard stays as it is."""
    with socket.socket() as probe:
        try:
            probe.bind((PRETENDED, 0))
        except OSError:
            pytest.skip("this machine has one address of its own only")
    monkeypatch.setattr(guard, "is_public", lambda address: address == PRETENDED or is_public(address))


class Resolver(AbstractResolver):
    """A name server that gives each answer once, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host, port=0, family=socket.AF_INET) -> list[ResolveResult]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
            for address in answer
        ]

    async def close(self) -> None:
        """There is nothing to close."""


@contextlib.asynccontextmanager
async def guarded(monkeypatch, policy=ONCE, **settings):
    """A downloader that takes http, so that a test can serve it, and yet connects to public machines only."""
    monkeypatch.setattr(downloading, "open_connector", lambda local: guard.open_connector(local=False, **settings))
    async with downloader(policy) as fetcher:
        yield fetcher


REDIRECTS = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "0x7f.1",
    "0",
]


@pytest.mark.usefixtures("_pretend")
@pytest.mark.parametrize("host", REDIRECTS)
@pytest.mark.parametrize("hops", [1, 5])
async def test_guard_holds_for_each_redirect(host, hops, listener, tmp_path, monkeypatch):
    """A public server cannot send us on to a private one."""
    inward = Answer(status=302, headers={"Location": f"http://{host}:{listener.getsockname()[1]}/v.mp4"})
    onward = Answer(status=307, headers={"Location": "/again"})
    async with serving(*[onward] * (hops - 1), inward, at=PRETENDED) as server, guarded(monkeypatch, TWICE) as fetcher:
        with pytest.raises(UnsafeURLError):
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert len(server.requests) == hops
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.usefixtures("_pretend")
async def test_guard_holds_when_a_name_changes_its_address(listener, tmp_path, monkeypatch):
    """The address that is connected to is the one that is judged, not an earlier answer of the name server."""
    resolver = Resolver([PRETENDED], ["127.0.0.1"])
    async with serving(Files(tiny_mp4(), etag=None), at=PRETENDED) as server:
        port = int(server.url.rpartition(":")[2])
        async with guarded(monkeypatch, resolver=resolver, use_dns_cache=False) as fetcher:
            await fetcher.fetch(f"http://cdn.example:{port}/", tmp_path / "cat.mp4")
            with pytest.raises(UnsafeURLError):
                await fetcher.fetch(f"http://cdn.example:{listener.getsockname()[1]}/", tmp_path / "dog.mp4")
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.usefixtures("_pretend")
@pytest.mark.parametrize("order", [1, -1])
async def test_guard_holds_for_each_address_of_a_name(order, tmp_path, monkeypatch):
    """A name with a public and a private address leads to the public one, or nowhere."""
    resolver = Resolver(["127.0.0.1", PRETENDED][::order])
    async with guarded(monkeypatch, resolver=resolver) as fetcher:
        async with serving(Files(tiny_mp4())) as private:
            with pytest.raises(DownloadError):
                await fetcher.fetch(private.url.replace("127.0.0.1", "cdn.example"), tmp_path / "cat.mp4")
        assert private.connections == 0
        async with serving(Files(tiny_mp4()), at=PRETENDED) as public:
            await fetcher.fetch(public.url.replace(PRETENDED, "cdn.example"), tmp_path / "cat.mp4")


def test_guard_lets_public_addresses_pass():
    """A public address gets an ordinary socket of its family."""
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 443))
    with guard.open_public_socket(info) as opened:
        assert (opened.family, opened.type) == (socket.AF_INET, socket.SOCK_STREAM)


async def test_guard_is_open_for_a_local_relay(tmp_path):
    """A relay on this machine gives links to this machine."""
    async with serving(Files(tiny_mp4())) as server, downloader(ONCE) as fetcher:
        await fetcher.fetch(server.url.replace("127.0.0.1", "localhost"), tmp_path / "cat.mp4")


async def test_guard_leaves_hosts_that_cannot_exist(tmp_path):
    """A number that is no address in its usual spelling is refused for a local relay too."""
    async with downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError):
            await fetcher.fetch("http://127.1/", tmp_path / "cat.mp4")
