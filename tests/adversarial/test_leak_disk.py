"""What lies on the disk gives away no face and no link between a person and a picture: planted ones are looked for in
every file of an installation, in a dump, and in the numbers that PostgreSQL writes beside its rows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx2
import numpy as np
import psycopg
from numpy.typing import NDArray

from assent.core.values import Picture
from assent.keys.keystore import open_keystore
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey, open_template
from assent.media.decode import decode
from assent.perceive import Models, perceive
from tests.fixtures.figures import Figure
from tests.house import House, running
from tests.photos import FACES, altered
from tests.scanning import Needle, database_of, dumped, everything, found, numbers_shared
from tests.web import serving

REF, MEDIA = "planted-subject-4c1f", "planted-picture-77ab"
WINDOW = 4  # consecutive numbers: 8 bytes and more, which chance does not bring together
FORMS = ("<f2", ">f2", "<f4", ">f4", "<f8", ">f8")


def needles(name: str, vector: NDArray[np.floating]) -> Iterator[Needle]:
    """Pieces of the vector in every form: three places, three precisions, two byte orders, raw, hex, base64, text."""
    for at in (0, 48, len(vector) - WINDOW):
        part = vector[at : at + WINDOW]
        for form in FORMS:
            raw = part.astype(form).tobytes()
            yield Needle(f"{name} {at} {form}", raw)
            yield Needle(f"{name} {at} {form} hex", raw.hex().encode())
            yield Needle(f"{name} {at} {form} HEX", raw.hex().upper().encode())
            for shift in range(3):  # where the piece begins within base64's groups of three
                inside = base64.b64encode(bytes(shift) + raw + bytes(2))
                whole = slice(-(-shift * 8 // 6), (shift + len(raw)) * 8 // 6)  # characters that are of the piece alone
                yield Needle(f"{name} {at} {form} base64 {shift}", inside[whole])
        for digits in (4, 6):
            for comma in (",", ", ", " "):
                yield Needle(f"{name} {at} text", comma.join(f"{value:.{digits}f}" for value in part).encode())
        for width in (np.float16, np.float32):
            yield Needle(f"{name} {at} repr", ",".join(str(value) for value in part.astype(width)).encode())


def test_no_face_and_no_link_lies_on_the_disk(
    open_folder: Path, six_people: bytes, models: Models, figure: Figure
) -> None:
    data = open_folder / "leaks"
    with serving() as web, running(data, web, ASSENT_LOG_LEVEL="debug") as house:
        house.wait_for_worker()
        _opt_in(house, altered(six_people, FACES["second"]))
        answer = _post(house, six_people)
        assert [face["match"] is not None for face in answer["faces"]].count(True) == 1
        url = database_of(data)
        with psycopg.connect(url, autocommit=True) as conn:
            vectors = {"template": _template(conn, data)} | _bystanders(models, six_people)
            shared = numbers_shared(conn)
        dump = dumped(url, open_folder / "leaks.sql")
    sought = [needle for name, vector in vectors.items() for needle in needles(name, vector)]
    sought += [Needle("the person's name", REF.encode()), Needle("the same in hex", REF.encode().hex().encode())]
    files = [*everything(data), dump]
    assert not found(files, sought)
    assert not shared, "a transaction wrote both a person's row and a picture's"
    control = open_folder / "control"
    control.write_bytes(b"\n".join(needle.text for needle in sought))
    assert len(found([control], sought)) == len({needle.name for needle in sought})
    assert any(MEDIA.encode() in file.read_bytes() for file in files), "the scan reads what was stored"
    size = sum(file.stat().st_size for file in files) >> 20
    said = f"{len(vectors)} faces in {len(sought)} forms, {len(files)} files of {size} MB: 0 found"
    figure(f"{said}; 0 transactions link a person to a picture")


def _opt_in(house: House, photo: bytes) -> None:
    consent = {"subject": REF, "purpose": "face-match", "notice": "text", "notice_version": "1", "age": "adult"}
    consent |= {"jurisdiction": "DE", "method": "test"}
    given = httpx2.post(f"{house.url}/v1/consents", json=consent, headers=house.headers, timeout=30)
    assert given.status_code == 201, given.text
    address, files = f"{house.url}/v1/subjects/{REF}/templates", {"photos": ("me.jpg", photo)}
    enrolled = httpx2.post(address, files=files, headers=house.headers, timeout=60)
    assert enrolled.status_code == 201, enrolled.text


def _post(house: House, photo: bytes) -> dict[str, list[dict[str, object]]]:
    event = json.dumps({"id": MEDIA, "author": REF})
    answer = httpx2.post(
        f"{house.url}/v1/images?wait=60",
        files={"image": ("photo.jpg", photo)},
        data={"event": event},
        headers=house.headers,
        timeout=90,
    )
    assert answer.status_code == 200, answer.text
    said: dict[str, list[dict[str, object]]] = answer.json()
    return said


def _template(conn: psycopg.Connection, data: Path) -> NDArray[np.float16]:
    """The planted template, opened with the keystore as the gallery does it."""
    instance = conn.execute("SELECT id FROM instance").fetchone()
    assert instance is not None
    keys = open_keystore(data / "keys", UUID(str(instance[0]))).tenant("default")
    row = conn.execute(
        "SELECT t.pid, t.id, t.model, t.sealed, k.epoch, k.wrapped"
        " FROM template t JOIN subject_key k USING (tenant, pid)"
    ).fetchone()
    assert row is not None
    pid, id_, model, sealed, epoch, wrapped = row
    assert pid == derive_pseudonym(keys, REF)
    return open_template(SubjectKey.unwrap(keys, pid, epoch, wrapped), id_, model, sealed)


def _bystanders(models: Models, photo: bytes) -> dict[str, NDArray[np.float32]]:
    """The embeddings of all six in the picture, as the worker computed them."""
    decoded = decode(photo)
    picture = Picture("", decoded.format, decoded.width, decoded.height, decoded.frame_count, decoded.frames)
    (seen,) = perceive(models, [picture])
    vectors = {f"face {n}": face.embedding for n, face in enumerate(seen.faces) if face.embedding is not None}
    assert len(vectors) == 6
    return vectors
