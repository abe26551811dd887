"""The embedding of somebody who was not matched is nowhere once the picture is decided, also where deciding fails."""

from __future__ import annotations

import base64
import traceback
from dataclasses import replace

import numpy as np
import psycopg
import pytest

from assent.core.values import MediaRef, Perception, Picture, Vector
from assent.gallery.search import SearchSpace, search
from assent.worker.jobs import decide_event
from tests.events import everything_bytes, store
from tests.integration.album import Album


def traces(vector: Vector) -> list[bytes]:
    """How a vector's beginning would look if somebody had written it down."""
    found = []
    for kind in (np.float16, np.float32, np.float64):
        raw = vector.astype(kind).tobytes()[:24]
        found += [raw, raw.hex().encode(), base64.b64encode(raw), str(raw)[2:-1].encode()]
        found += [f"{value:.6f}"[:8].encode() for value in vector.astype(np.float64) if abs(value) > 1e-3]
    return found


def watched(album: Album) -> tuple[Album, list[Vector]]:
    """The album, and where the embeddings of all faces will be."""
    embeddings: list[Vector] = []
    perceive = album.bench.stages.perceive

    def watch(picture: Picture, comparable: bool) -> Perception:
        seen = perceive(picture, comparable)
        embeddings.extend(face.embedding for face in seen.faces if face.embedding is not None)
        return seen

    return replace(album, bench=replace(album.bench, stages=replace(album.bench.stages, perceive=watch))), embeddings


def found_in(text: bytes, embeddings: list[Vector]) -> list[bytes]:
    return [trace for vector in embeddings for trace in traces(vector) if trace in text]


def test_decided(album: Album, capsys: pytest.CaptureFixture[str]) -> None:
    watching, embeddings = watched(album)
    watching.opt_in("alice", "second")
    watching.post(author="alice")
    logged = capsys.readouterr()
    assert len(embeddings) == 7  # alice's photo, and six faces
    assert found_in(everything_bytes(album.bench), embeddings) == []
    assert found_in((logged.out + logged.err).encode(), embeddings) == []


def test_failing(album: Album, capsys: pytest.CaptureFixture[str]) -> None:
    """The gallery breaks after it was searched: what is said of it, and the job that waits."""
    watching, embeddings = watched(album)
    watching.opt_in("alice", "second")
    event_id = store(album.bench, album.keys, MediaRef("group", None), album.photo, author="alice")
    with album.bench.gallery.pool.connection() as gallery:
        gallery.execute("ALTER TABLE probe RENAME COLUMN near TO elsewhere")
    with pytest.raises(psycopg.errors.UndefinedColumn) as raised:
        decide_event(watching.bench, "default", event_id)
    logged = capsys.readouterr()
    said = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + logged.out + logged.err
    assert len(embeddings) == 7
    assert found_in(said.encode(), embeddings) == []
    assert found_in(everything_bytes(album.bench), embeddings) == []


def test_what_is_said_of_a_wrong_vector(album: Album) -> None:
    vector = np.linspace(0.1, 0.9, 7, dtype=np.float32)
    album.opt_in("alice", "second")
    model, pid = album.bench.gallery.models.embedder_id, album.pid("alice")
    with album.bench.gallery.pool.connection() as gallery, pytest.raises(psycopg.Error) as raised:
        search(gallery, SearchSpace("default", model, pid), vector[None])
    said = "".join(traceback.format_exception(raised.value)).encode()
    assert b"dimensions" in said
    assert found_in(said, [vector]) == []
