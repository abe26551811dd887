""" "Not me" is believed, told to whoever was told otherwise, and remembered."""

from __future__ import annotations

from functools import partial
from io import BytesIO

import pytest
from PIL import Image

from assent.core.errors import NotFound
from assent.refusals import Refusal, is_refused
from assent.subjects.matches import refuse
from tests.events import everything, media_item, rows
from tests.integration.album import Album
from tests.photos import saved_at
from tests.waiting import until


def not_me(album: Album, subject: str, media_id: str = "group") -> None:
    face = next(one.face for one in album.seen(subject) if one.item == media_item(media_id))
    refuse(album.bench.pool, album.keys, album.pid(subject), media_item(media_id), face)


def test_the_platform_is_told_and_the_picture_never_names_them_again(album: Album) -> None:
    album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    album.post(author="alice", connections=("bob",))
    album.deliver()
    not_me(album, "alice")
    assert album.named() == {"bob": "fifth"}
    (told,) = album.deliver()
    assert (told["type"], told["data"]["revision"]) == ("tag.retracted", 2)
    assert album.post(author="alice", connections=("bob",)) == {"bob": "fifth"}
    assert album.post("same file, other id", author="alice") == {}
    assert album.leaves("match.refused") == 1
    assert album.post("another file", brighter(album.photo), author="alice") == {"alice": "second"}


def test_the_same_id_with_another_file_is_the_same_picture(album: Album) -> None:
    album.opt_in("alice", "second")
    album.post(author="alice")
    not_me(album, "alice")
    assert album.post(photo=brighter(album.photo), author="alice") == {}


def brighter(photo: bytes) -> bytes:
    out = BytesIO()
    Image.open(BytesIO(photo)).convert("RGB").point(lambda value: min(255, round(value * 1.05))).save(out, "PNG")
    return out.getvalue()


def test_each_refusal_raises_the_threshold_up_to_a_limit(album: Album) -> None:
    album.opt_in("alice", "second")
    for n, expected in enumerate((0.02, 0.04, 0.06, 0.08, 0.10, 0.10)):
        photo = f"photo-{n}"
        assert album.post(photo, saved_at(album.photo, 95 - n), author="alice") == {"alice": "second"}
        face = album.seen("alice")[0].face
        refuse(album.bench.pool, album.keys, album.pid("alice"), media_item(photo), face)
        with pytest.raises(NotFound):
            refuse(album.bench.pool, album.keys, album.pid("alice"), media_item(photo), face)
        assert rows(album.bench, "SELECT refusals FROM subject") == [(n + 1,)]
        until(partial(followed, album, expected), "the gallery follows", 5)


def followed(album: Album, strictness: float) -> bool:
    with album.bench.gallery.pool.connection() as gallery:
        row = gallery.execute("SELECT abs(strictness - %s) < 1e-4 FROM template", [strictness]).fetchone()
    return bool(row and row[0])


def test_what_was_refused_lies_sealed(album: Album) -> None:
    album.opt_in("subject-alice", "second")
    album.post("secret-picture", author="subject-alice")
    not_me(album, "subject-alice", "secret-picture")
    ((pid, sealed),) = rows(album.bench, "SELECT pid, sealed FROM refusal")
    assert pid == album.pid("subject-alice")
    assert b"secret-picture" not in sealed
    assert "subject-alice" not in everything(album.bench)


def test_a_refusal_is_about_its_face_only() -> None:
    known = [Refusal("photo", "aa", (10, 10, 100, 100))]
    assert is_refused(known, "photo", "bb", (12, 11, 100, 100))
    assert is_refused(known, "other", "aa", (12, 11, 100, 100))
    assert not is_refused(known, "other", "bb", (12, 11, 100, 100))
    assert not is_refused(known, "photo", "aa", (90, 10, 100, 100))
