"""Counts the pictures of a folder that Chromium shows and we refuse: `python -m tests.bench.archives FOLDER`.

The folder may hold any files, such as the unpacked source archives of Pillow and pillow-heif; asked about is what
begins like one of the eight formats. Prints each refused file with its reason.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from assent.core.errors import AssentError
from assent.media.compare import confirm
from assent.media.decode import decode, sniff
from assent.media.files import MAX_IMAGE_BYTES
from tests.adversarial.browser_views import shown

_AT_ONCE = 20


def pictures(folder: Path) -> Iterator[Path]:
    """Yields the files below a folder that begin like one of the eight formats."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and 0 < file.stat().st_size <= MAX_IMAGE_BYTES:
            try:
                sniff(file.read_bytes())
            except AssentError:
                continue
            yield file


def reason(data: bytes) -> str | None:
    """Returns why a file is refused or sent to review, its error's code first; None where it is read."""
    try:
        confirm(data, decode(data))
    except AssentError as error:
        return f"{error.code}: {error.detail}"
    return None


def refused(browser: Browser, folder: Path) -> tuple[int, dict[str, str]]:
    """Returns how many pictures Chromium shows, and why we refuse those of them that we do, by path."""
    count, reasons = 0, dict[str, str]()
    files = list(pictures(folder))
    for at in range(0, len(files), _AT_ONCE):
        sys.stderr.write(f"\r{at} of {len(files)}")
        datas = {str(file.relative_to(folder)): file.read_bytes() for file in files[at : at + _AT_ONCE]}
        seen = [name for name, (view, _) in shown(browser, datas).items() if view is not None]
        count += len(seen)
        reasons |= {name: why for name in seen if (why := reason(datas[name])) is not None}
    sys.stderr.write("\r")
    return count, reasons


def main(folder: str) -> None:
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path="/usr/bin/chromium") as browser:
        count, reasons = refused(browser, Path(folder))
    for name, why in sorted(reasons.items(), key=lambda item: item[1]):
        sys.stdout.write(f"{why}\t{name}\n")
    for code, times in Counter(why.split(":")[0] for why in reasons.values()).most_common():
        sys.stdout.write(f"{code}: {times}\n")
    share = len(reasons) / max(1, count)
    sys.stdout.write(f"{len(reasons)} of {count} pictures that Chromium shows are refused: {share:.1%}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
