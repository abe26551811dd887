"""Swap in the clear is found; encrypted and compressed memory is not complained of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assent.embedded.swap import unencrypted_swap

HEAD = "Filename\tType\tSize\tUsed\tPriority\n"


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """The folder in which /sys has the device that the test's files lie on, as a disk without encryption."""
    number = tmp_path.stat().st_dev
    (tmp_path / "dev" / "block").mkdir(parents=True)
    (tmp_path / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").symlink_to("../../disk")
    (tmp_path / "disk" / "dm").mkdir(parents=True)
    return tmp_path


def found(sys: Path) -> tuple[str, ...]:
    """A swap file there, with a blank in its name."""
    (sys / "a file").touch()
    swaps = sys / "swaps"
    swaps.write_text(f"{HEAD}{sys}/a\\040file\tfile\t8388604\t0\t-2\n")
    return tuple(Path(area).name for area in unencrypted_swap(swaps, sys))


def test_a_disk_in_the_clear(sys: Path) -> None:
    assert found(sys) == ("a file",)


def test_an_encrypted_disk(sys: Path) -> None:
    (sys / "disk" / "dm" / "uuid").write_text("CRYPT-LUKS2-0a1b-swap\n")
    assert found(sys) == ()


def test_a_logical_volume_is_as_its_disks(sys: Path) -> None:
    (sys / "disk" / "dm" / "uuid").write_text("LVM-abc\n")
    for name, uuid in (("one", "CRYPT-LUKS2-1\n"), ("two", "LVM-2\n")):
        (sys / name / "dm").mkdir(parents=True)
        (sys / name / "dm" / "uuid").write_text(uuid)
    (sys / "disk" / "slaves").mkdir()
    (sys / "disk" / "slaves" / "one").symlink_to("../../one")
    assert found(sys) == ()
    (sys / "disk" / "slaves" / "two").symlink_to("../../two")
    assert found(sys) == ("a file",)


@pytest.mark.parametrize(("backing", "areas"), [("none\n", ()), ("/dev/sda3\n", ("a file",))])
def test_compressed_memory(sys: Path, backing: str, areas: tuple[str, ...]) -> None:
    (sys / "disk").rename(sys / "zram0")
    next((sys / "dev" / "block").iterdir()).unlink()
    number = sys.stat().st_dev
    (sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").symlink_to("../../zram0")
    (sys / "zram0" / "backing_dev").write_text(backing)
    assert found(sys) == areas


def test_no_swap(tmp_path: Path) -> None:
    (tmp_path / "swaps").write_text(HEAD)
    assert unencrypted_swap(tmp_path / "swaps") == unencrypted_swap(tmp_path / "missing") == ()


def test_an_area_that_is_not_seen_here_counts_as_in_the_clear(tmp_path: Path) -> None:
    (tmp_path / "swaps").write_text(f"{HEAD}/nowhere/swap\tfile\t8388604\t0\t-2\n")
    assert unencrypted_swap(tmp_path / "swaps") == ("/nowhere/swap",)
