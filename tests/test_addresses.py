import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.addresses import is_loopback, is_public

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2a00::1%2"]
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.0.9", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1",
    "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:0:808:808::f7f7:f7f7",
    "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:e000:1::1", "3fff::1",
    "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
    "localhost", "example.com", "", "0x7f.1", "127.1", "2130706433", "0177.0.0.1", "1.2.3.4.5",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_address_of_the_internet_is_public(address):
    """Global unicast addresses are public, also inside an IPv6 address that carries them."""
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_address_of_another_kind_is_not_public(address):
    """Private, local, reserved, multicast and unreadable addresses are not public in any wrapping."""
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_address_wrapped_is_judged_by_its_inside(inner):
    """Mapped, NAT64 and 6to4 forms are as public as the IPv4 address within."""
    digits = f"{int(inner):08x}"
    high, low = digits[:4], digits[4:]
    forms = [f"::ffff:{high}:{low}", f"64:ff9b::{high}:{low}", f"2002:{high}:{low}::1"]
    assert {is_public(form) for form in forms} == {is_public(str(inner))}


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("8.8.8.8", False),
        ("localhost", False),
        ("::2", False),
    ],
)
def test_loopback_is_this_machine_only(address, loopback):
    """Only numeric addresses of this machine are loopback."""
    assert is_loopback(address) is loopback
