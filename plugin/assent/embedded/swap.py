"""Finds swap areas that would keep memory in the clear on a disk."""

from __future__ import annotations

import os
from pathlib import Path

_SWAPS, _SYS = Path("/proc/swaps"), Path("/sys")


def unencrypted_swap(swaps: Path = _SWAPS, sys: Path = _SYS) -> tuple[str, ...]:
    """Returns the active swap areas (paths, as /proc/swaps has them) not known to be encrypted."""
    try:
        lines = swaps.read_text().splitlines()[1:]
    except OSError:
        return ()
    paths = [line.split()[0].encode().decode("unicode_escape") for line in lines if line]  # a blank is \040 there
    return tuple(path for path in paths if not _is_safe(Path(path), sys))


def _is_safe(area: Path, sys: Path) -> bool:
    try:
        status = area.stat()
    except OSError:
        return False  # another container's, or deleted
    number = status.st_rdev or status.st_dev  # a swap file lies on its file system's device
    return _is_encrypted((sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").resolve())


def _is_encrypted(device: Path) -> bool:
    """Tells whether all that is written to a block device (its folder in /sys) is encrypted, or stays in memory."""
    if device.name.startswith("zram"):
        backing = device / "backing_dev"
        return not backing.exists() or backing.read_text().strip() == "none"
    name = device / "dm" / "uuid"
    if name.exists() and name.read_text().startswith("CRYPT-"):
        return True
    below = list((device / "slaves").glob("*"))  # a logical volume's disks
    return bool(below) and all(_is_encrypted(one.resolve()) for one in below)
