"""What is analysed is what a browser shows, over a white page and over a black one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from playwright.sync_api import Browser

from tests.adversarial.browser_views import ALLOWED, analysed, apart, compared, shown
from tests.adversarial.declared_files import declared_files
from tests.fixtures.figures import Figure

FEW = 100


def report(figure: Figure, off: Mapping[str, int], reviewed: Mapping[str, str]) -> None:
    formats = sorted({name.partition(" ")[0].strip(",") for name in (*off, *reviewed)})
    for kind in formats:
        mine = {name: far for name, far in off.items() if name.startswith(kind)}
        sent = sum(name.startswith(kind) for name in reviewed)
        worst = max(mine, key=lambda name: mine[name])
        far = sum(value > ALLOWED for value in mine.values())
        figure(
            f"{kind}: {len(mine) + sent} files, {sent} to review, {far} of the others more than {ALLOWED} of 255 from "
            f"what Chromium shows; at most {mine[worst]} ({worst})"
        )


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return dict(declared_files())


def test_a_hundred_files_of_every_declaration_are_analysed_as_they_are_shown(
    browser: Browser, files: dict[str, bytes], figure: Figure
) -> None:
    some = dict(list(files.items())[:: len(files) // FEW])
    off, reviewed = compared(browser, some)
    report(figure, off, reviewed)
    assert len(off) >= FEW * 3 // 4
    assert {name: far for name, far in off.items() if far > ALLOWED} == {}


@pytest.mark.slow
def test_all_of_them_are_analysed_as_they_are_shown(browser: Browser, files: dict[str, bytes], figure: Figure) -> None:
    off, reviewed = compared(browser, files)
    report(figure, off, reviewed)
    for reason in sorted(set(reviewed.values())):
        figure(f"to review: {sum(other == reason for other in reviewed.values())} × {reason}")
    assert len(off) >= len(files) * 3 // 4
    assert {name: far for name, far in off.items() if far > ALLOWED} == {}


def test_common_declarations_are_applied_and_not_sent_to_review(files: dict[str, bytes]) -> None:
    common = [
        *(f"png, gAMA {value}" for value in (45_455, 55_556, 100_000)),
        *("png, gAMA 500, steep", "png, cICP (12, 13)", "png, cICP (9, 16)", "png, cICP (9, 18)", "png, iCCP P3"),
        *("png of grey, iCCP of grey, gamma 3", "png of 16 bits, a key", "png, white with alpha", "jpeg, P3"),
        *("jpeg of grey, of grey linear", "jpeg of CMYK, of ink", "webp, P3", "bmp, embedded, P3", "avif, (9, 16)"),
        *("avif, linear by its stream", "avif, P3"),
    ]
    for name in common:
        analysed(files[name])


def test_the_comparison_finds_a_picture_whose_colours_are_not_converted(
    browser: Browser, files: dict[str, bytes]
) -> None:
    """Shown as if nothing were declared, a photo under gAMA 100000 lies 70 levels off."""
    pair = shown(browser, {"as declared": files["png, gAMA 100000"], "plainly": files["png, nothing"]})
    declared, plainly = pair["as declared"][0], pair["plainly"][0]
    assert declared is not None
    assert plainly is not None
    assert apart(declared, plainly) > 2 * ALLOWED
