"""Which photos the demo posts and who opts in: real photographs that installed packages carry, or a folder of yours."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from unicodedata import normalize

from PIL import Image, ImageEnhance, ImageOps

Box = tuple[int, int, int, int]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be found in a photo: how many faces, who at which box, and a label that must be said, itself or one
    below it; or the code of the error that must come instead. None where the demo does not know."""

    faces: int | None = None
    matched: dict[str, Box] | None = None
    tag: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """One post to be: `data` is the file as it is served, None where nothing is served at its address."""

    title: str
    name: str
    data: bytes | None = field(repr=False)
    author: str
    source: str
    expected: Expected = Expected()
    note: str = ""  # who may be recognised in it, and why


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who opts in: with these photos, for these posts."""

    name: str
    scope: str  # own, connections
    follows: tuple[str, ...]
    photos: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cast:
    """Everything the demo puts on its platform."""

    people: tuple[Person, ...]
    photos: tuple[Photo, ...]
    enrolment: str  # says openly where the enrolment photos come from


ALICE: Box = (57, 286, 119, 115)
BOB: Box = (739, 378, 108, 95)
ENROLMENT = (
    "The packages carry only one photo of these six people, so alice and bob enrol with altered copies of the photo "
    "that is posted: cut out around the face, one of them mirrored and brightened, the other darkened and made "
    "smaller, both saved again as JPEG. It shows who is looked for and who is not; it says nothing about how well a "
    "face is recognised in another photo."
)
BY_ALICE = "alice posts it herself and bob follows alice, so these two are looked for; the other four never opted in."
BY_A_STRANGER = (
    "alice asked to be found in her own posts only, and bob does not follow mallory: the faces are found, since photos "
    "are checked for safety, but compared with nobody."
)


def packaged_cast() -> Cast:
    """The photographs inside the installed insightface and scikit-image. Raises FileNotFoundError where one lacks."""
    six = (_package_folder("insightface") / "data" / "images" / "t1.jpg").read_bytes()
    people = (
        Person("alice", "own", (), altered_copies(six, ALICE)),
        Person("bob", "connections", ("alice",), altered_copies(six, BOB)),
    )
    both = Expected(faces=6, matched={"alice": ALICE, "bob": BOB})
    nobody = Expected(faces=6, matched={})
    posts = (
        Photo("Six at a table, posted by alice", "table.jpg", six, "alice", "insightface, t1.jpg", both, BY_ALICE),
        Photo(
            "The same photo, posted by a stranger",
            "again.jpg",
            six,
            "mallory",
            "insightface, t1.jpg",
            nobody,
            BY_A_STRANGER,
        ),
        _skimage("An astronaut", "astronaut.png", "nadia", Expected(faces=1, matched={})),
        _skimage("A cup of coffee", "coffee.png", "carol", Expected(matched={}, tag="food.drink.coffee")),
        _skimage("Chelsea the cat", "chelsea.png", "dave", Expected(faces=0, matched={}, tag="animal.cat")),
        _skimage("A rocket at night", "rocket.jpg", "nadia", Expected(matched={}, tag="object.rocket")),
        _skimage(
            "A motorcycle",
            "motorcycle_left.png",
            "dave",
            Expected(matched={}, tag="object.vehicle.motorcycle"),
        ),
        _skimage("A printed page", "page.png", "carol", Expected(matched={})),
        _skimage("Handwriting", "text.png", "carol", Expected(matched={})),
    )
    return Cast(people, posts + impossible("alice"), ENROLMENT)


def folder_cast(folder: Path) -> Cast:
    """Your own photos: each subfolder is a person who opts in with the photos in it, each file beside them is posted.

    One account, `you`, posts everything and everybody who opted in follows it. Raises FileNotFoundError when nothing
    is there to post.
    """
    posts = tuple(Photo(path.stem, path.name, path.read_bytes(), "you", "your folder") for path in _pictures(folder))
    if not posts:
        raise FileNotFoundError(f"no picture lies directly in {folder}")
    people = tuple(
        Person(
            normalize("NFC", sub.name), "connections", ("you",), tuple(one.read_bytes() for one in _pictures(sub)[:10])
        )
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and _pictures(sub)
    )
    return Cast(people, posts + impossible("you"), "Enrolled with the photos in the folder of that name.")


def impossible(author: str) -> tuple[Photo, Photo]:
    """A photo that is gone before anybody can look, and a file that is no photo."""
    words = b"These are words, whatever the name says.\n" * 40
    gone = Expected(matched={}, error="fetch_missing")
    no_photo = Expected(matched={}, error="media_unsupported")
    return (
        Photo("A photo that is gone", "gone.jpg", None, author, "an address that answers 404", gone),
        Photo("A text named .jpg", "notes.jpg", words, author, "40 lines of text, served as image/jpeg", no_photo),
    )


def altered_copies(file: bytes, box: Box) -> tuple[bytes, ...]:
    """Two JPEG files cut out around `box`: one mirrored and brightened, one darkened and at four fifths of the size."""
    x, y, width, height = box
    mx, my = int(width * 0.6), int(height * 0.6)
    whole = Image.open(BytesIO(file)).convert("RGB")
    cut = whole.crop((max(0, x - mx), max(0, y - my), x + width + mx, y + height + my))
    bright = ImageEnhance.Brightness(ImageOps.mirror(cut)).enhance(1.12)
    dark = ImageEnhance.Brightness(cut).enhance(0.85).resize((cut.width * 4 // 5, cut.height * 4 // 5))
    return _jpeg(bright, 80), _jpeg(dark, 88)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _skimage(title: str, name: str, author: str, expected: Expected) -> Photo:
    return Photo(title, name, package_photo(name), author, f"scikit-image, {name}", expected)


def package_photo(name: str) -> bytes:
    """A photo inside the installed scikit-image. Raises FileNotFoundError."""
    return (_package_folder("skimage") / "data" / name).read_bytes()


def _package_folder(package: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0])


def _pictures(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
