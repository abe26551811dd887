"""No special-purpose address is a place to fetch from, whatever the standard library thinks of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from assent.core.settings import AllowedHost
from assent.net.client import Address, forbidden, permitted

# Every block of IANA's IPv4 and IPv6 special-purpose registries, multicast, and the ways to write IPv4 inside IPv6.
SPECIAL = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29 192.0.0.8/32
192.0.0.9/32 192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24
192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
::/128 ::1/128 ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23
2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28
2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
::ffff:127.0.0.1/128 ::ffff:8.8.8.8/128 ::127.0.0.1/128 2002:7f00:1::/48
64:ff9b::10.0.0.0/104 64:ff9b::127.0.0.0/104 64:ff9b::169.254.0.0/112 64:ff9b::192.168.0.0/112 64:ff9b::224.0.0.0/100
64:ff9b::0:0/128 64:ff9b::255.255.255.255/128 64:ff9b:1::8.8.8.8/128 64:ff9b:0:0:0:1::/96 64:ff9a::8.8.8.8/128
"""

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 172.15.0.1
172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
2000::1 2001:200::1 2001:4860:4860::8888 2003::1 2606:4700:4700::1111 2a00:1450::1 3ffe::1
64:ff9b::8.8.8.8 64:ff9b::1.1.1.1 64:ff9b::9.255.255.255 64:ff9b::11.0.0.0
"""

INSIDE, OUTSIDE = ip_address("10.1.2.3"), ip_address("93.184.216.34")
ALLOW = (AllowedHost("media.internal", 443, ip_network("10.1.0.0/16")),)


@pytest.mark.parametrize("cidr", SPECIAL.split())
def test_both_ends_of_a_special_block_are_forbidden(cidr: str) -> None:
    network = ip_network(cidr)
    assert forbidden(network[0])
    assert forbidden(network[-1])


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_neighbours_of_special_blocks_are_not(address: str) -> None:
    assert not forbidden(ip_address(address))


def test_one_forbidden_address_condemns_the_host() -> None:
    assert permitted("example.org", 443, [OUTSIDE], ())
    assert not permitted("example.org", 443, [OUTSIDE, ip_address("127.0.0.1")], ())


def test_nothing_resolved_is_nothing_permitted() -> None:
    assert not permitted("example.org", 443, [], ())


def test_a_listed_host_may_be_private_inside_its_network() -> None:
    assert permitted("media.internal", 443, [INSIDE], ALLOW)


@pytest.mark.parametrize(
    ("host", "port", "addresses"),
    [
        ("media.internal", 80, [INSIDE]),
        ("other.internal", 443, [INSIDE]),
        ("evil.media.internal", 443, [INSIDE]),
        ("media.internal.", 443, [INSIDE]),
        ("media.internal", 443, [INSIDE, ip_address("10.2.0.1")]),
        ("media.internal", 443, [INSIDE, ip_address("127.0.0.1")]),
        ("media.internal", 443, [INSIDE, OUTSIDE]),
        ("media.internal", 443, [ip_address("::ffff:10.1.2.3")]),
    ],
)
def test_a_listing_covers_nothing_but_its_host_port_and_network(host: str, port: int, addresses: list[Address]) -> None:
    assert not permitted(host, port, addresses, ALLOW)


def test_two_listings_of_one_host_add_up() -> None:
    allow = (AllowedHost("h", 1, ip_network("127.0.0.0/8")), AllowedHost("h", 1, ip_network("::1/128")))
    assert permitted("h", 1, [ip_address("127.0.0.1"), ip_address("::1")], allow)
