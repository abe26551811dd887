"""Images are found in HTML as a browser finds them, in time that grows with the page and no faster."""

from __future__ import annotations

import time

import pytest

from assent.platforms.html_images import html_images


def sources(html: str) -> list[str]:
    return [image.attributes.get("src", "") for image in html_images(html)]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<p>a<img src="/1.png">b<IMG SRC=/2.png></p>', ["/1.png", "/2.png"]),
        ("<img alt='>' src='/1.png'/>", ["/1.png"]),
        ('<img alt="<img src=/9.png>" src="/1.png">', ["/1.png"]),
        ('<img src="/1.png" src="/2.png">', ["/1.png"]),
        ('<img src="/1.png?a=1&amp;b=2">', ["/1.png?a=1&b=2"]),
        ('<img/src="/1.png"/>', ["/1.png"]),
        ('<img src = "/1.png" >', ["/1.png"]),
        ('<!-- <img src="/9.png"> --><img src="/1.png">', ["/1.png"]),
        ('<!--><img src="/1.png">', ["/1.png"]),
        ('<!-- never closed <img src="/1.png">', ["/1.png"]),
        ('a < b <img src="/1.png">', ["/1.png"]),
        ('<img = "x" src="/1.png">', ["/1.png"]),
        ('<video poster="/1.png" src="/1.mp4">', ["/1.png"]),
        ("<image src=/9.png><imgx src=/9.png>", []),
        ("<img>", [""]),
        ("<img src=", [""]),
    ],
)
def test_images_are_found(html: str, found: list[str]) -> None:
    assert sources(html) == found


def test_an_image_knows_the_lightbox_around_it() -> None:
    html = '<a class="big lightbox" href="/o"><img src="/s"></a><img src="/t"><a href="/x"><img src="/u">'
    assert [image.lightbox for image in html_images(html)] == ["/o", "", ""]


@pytest.mark.parametrize("piece", ["<!--", "<img ", "<img src='", '<a b="', "<img =", "</", "<img src=a>", "<img a\n"])
def test_a_page_of_five_megabytes_takes_seconds_at_most(piece: str) -> None:
    began = time.monotonic()
    for _ in html_images(piece * (5_000_000 // len(piece))):
        pass
    assert time.monotonic() - began < 10
