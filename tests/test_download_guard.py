"""No connection is made to a machine that is not on the public Internet, however it is spelt."""

import socket

import pytest
from file_server import Files, serving, tiny_mp4
from test_download import ONCE, downloader

from sora_async.download.downloader import _open_public_socket
from sora_async.errors import DownloadError, UnsafeURLError

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
    assert len(set(HOSTS)) >= 60


async def test_guard_refuses_http(tmp_path):
    """Without a local relay only https will do, also for a public host."""
    async with downloader(ONCE, local=False) as fetcher:
        with pytest.raises(UnsafeURLError, match="https"):
            await fetcher.fetch("http://8.8.8.8/", tmp_path / "cat.mp4")


def test_guard_lets_public_addresses_pass():
    """A public address gets an ordinary socket of its family."""
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 443))
    with _open_public_socket(info) as opened:
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
