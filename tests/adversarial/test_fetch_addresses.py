"""No special-purpose address gets a single packet, however a URL, a redirect or a name server spells it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.adversarial.netns import Job, Outcome, fetch_inside
from tests.fixtures.figures import Figure

DATA: dict[str, Any] = tomllib.loads((Path(__file__).parent / "addresses.toml").read_text())
PUBLIC = "93.184.216.34"  # public.example, the only address that may be dialled on the way
ZONE = {name: [addresses] for name, addresses in DATA["zone"].items()}
CASES = [url for group in DATA["cases"] for url in group["urls"]]
# The kernel itself sends nothing there: TCP to multicast and to loopback's broadcast, link-local without a zone.
SENDS_NOTHING: tuple[str, ...] = (
    *("http://22", "http://23", "http://127.255.255.255/", "http://255.255.255.255/", "http://[::ffff:ffff:ffff]"),
    *("http://[ff", "http://[fe8", "http://[fe9", "http://[feb"),
)


def reached(outcome: Outcome) -> list[str]:
    """The addresses that got packets, but for public.example."""
    return sorted(set(outcome.packets) - {PUBLIC})


def refused(urls: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    for url, outcome in zip(urls, outcomes, strict=True):
        assert reached(outcome) == [], url
        assert outcome.body == "" or set(outcome.packets) == {PUBLIC}, url
        assert outcome.error in {"FetchRefused", "FetchFailed", ""}, url


def test_no_packet_to_a_forbidden_address(figure: Figure) -> None:
    outcomes = fetch_inside([Job(url) for url in CASES], ZONE)
    refused(CASES, outcomes)
    arrived = sum(bool(reached(outcome)) for outcome in outcomes)
    figure(f"forbidden addresses: {len(CASES)} cases, {arrived} reached")
    assert len(CASES) >= 300
    assert len(set(CASES)) == len(CASES)


def test_no_packet_after_a_redirect_from_a_public_host(figure: Figure) -> None:
    outcomes = fetch_inside([Job(f"http://public.example/to?{quote(url)}") for url in CASES], ZONE)
    refused(CASES, outcomes)
    assert all(PUBLIC in outcome.packets for outcome in outcomes)
    arrived = sum(bool(reached(outcome)) for outcome in outcomes)
    figure(f"redirects to forbidden addresses: {len(CASES)} cases, {arrived} reached")


def test_the_canary_sees_what_the_address_check_stops(figure: Figure) -> None:
    """With the check taken away, every address literal that a kernel can dial is seen to get packets."""
    outcomes = fetch_inside([Job(url, guarded=False) for url in CASES], ZONE)
    seen = {url for url, outcome in zip(CASES, outcomes, strict=True) if reached(outcome)}
    kinds = ("ipv4 registry", "ipv6 registry", "v4-mapped", "6to4", "nat64", "other ipv4 in ipv6")
    literals = [url for group in DATA["cases"] if group["kind"] in kinds for url in group["urls"]]
    assert [url for url in literals if url not in seen and not url.startswith(SENDS_NOTHING)] == []
    figure(f"the same without the address check: {len(CASES)} cases, {len(seen)} reached")
    assert len(seen) >= 300


def test_public_addresses_are_fetched_from(figure: Figure) -> None:
    urls = [url for group in DATA["public"] for url in group["urls"]]
    outcomes = fetch_inside([Job(url) for url in urls], ZONE)
    for url, outcome in zip(urls, outcomes, strict=True):
        assert (outcome.error, outcome.body) == ("", "picture"), url
        assert len(outcome.packets) == 1, url
    figure(f"public addresses: {len(urls)} cases, {sum(bool(o.body) for o in outcomes)} reached")
    assert len(urls) >= 30


def test_a_listing_opens_its_host_port_and_network_alone(figure: Figure) -> None:
    cases = [(group["entry"], url, place) for group in DATA["listed"] for url, place in group["urls"].items()]
    outcomes = fetch_inside([Job(url, allow=(entry,)) for entry, url, _ in cases], ZONE)
    for (entry, url, place), outcome in zip(cases, outcomes, strict=True):
        assert sorted(outcome.packets) == ([place] if place else []), (entry, url)
    opened = sum(bool(place) for *_, place in cases)
    figure(f"allow-list: {len(cases)} cases, {opened} listed and reached, 0 others")
