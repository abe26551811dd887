"""The built wheel carries all it needs: tagging a photo works from it, outside of the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.installed import package_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and everything but the checkout beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("assent_plugin-*.whl")
    venv.create(folder / "venv", symlinks=True)
    (site,) = (folder / "venv").glob("lib/python3*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--no-compile", "--target", site, wheel], check=True)
    # A path file's folder is searched for packages, but its own path files are not read: no editable checkout.
    (site / "dependencies.pth").write_text(str(package_file("psycopg", "").parent))
    return folder / "venv/bin/python"


def run(python: Path, tmp_path: Path, *words: str | Path) -> str:
    command = [python, "-m", "assent", *words]
    environment = {"ASSENT_DATA_DIR": str(tmp_path / "data"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_what_is_run(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [installed, "-c", "import assent; print(assent.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(installed.parents[1]) in where.stdout


def test_the_persons_own_page_is_in_it(installed: Path, tmp_path: Path) -> None:
    said = (
        "from assent.me.notice import read_notice; from assent.me.pages import asset, page, places;"
        "print(page('open').status_code, asset('icon.svg').status_code, len(places()) > 200, read_notice(None).version)"
    )
    done = subprocess.run([installed, "-c", said], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "200", "True", "default-2"]


def test_six_faces_on_the_group_photo_and_none_on_the_cat(installed: Path, tmp_path: Path) -> None:
    group = package_file("insightface", "data/images/t1.jpg")
    cat = package_file("skimage", "data/chelsea.png")
    lines = [json.loads(line) for line in run(installed, tmp_path, "tag", "--json", group, cat).splitlines()]
    assert [len(document["faces"]) for document in lines] == [6, 0]
    assert all(document["action"] == "allow" for document in lines)


def test_its_policy_passes_its_own_cases(installed: Path, tmp_path: Path) -> None:
    assert run(installed, tmp_path, "policy", "check").endswith("0 wrong\n")
