"""People who opted in, written straight into the truth, and faces that resemble them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from assent.gallery import keys
from assent.gallery.keys import Keystore, TenantKeys
from assent.gallery.template import SubjectKey, seal_template
from assent.store.pool import Conn, execute
from assent.store.queries import load

MODEL = "test-128@000000000000"
DIMENSION = 128
Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating[Any]]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)


def strangers(count: int, seed: int = 0) -> Vectors:
    """Unit vectors (count, 128), no two of which are alike: cosines near 0."""
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSION)))


@dataclass(frozen=True, slots=True)
class Person:
    pid: bytes
    subject: SubjectKey
    consent: UUID
    templates: list[UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class World:
    truth: Conn
    keystore: Keystore
    url: str

    @property
    def keys(self) -> TenantKeys:
        return self.keystore.tenant("club")

    def opt_in(self, name: str, *faces: Vectors, scope: str = "connections", lasts: str = "1 year") -> Person:
        """A subject with its key, a consent that lasts that long, and a template of each face."""
        pid = keys.pid(self.keys, name)
        person = Person(pid, SubjectKey.new(self.keys, pid), uuid4())
        with self.truth.transaction():
            self.truth.execute("INSERT INTO subject (tenant, pid, sealed) VALUES ('club', %s, '')", [pid])
            self.truth.execute(
                "INSERT INTO subject_key VALUES ('club', %s, %s, %s)",
                [pid, self.keys.epoch, person.subject.wrap(self.keys)],
            )
            self.truth.execute(
                "INSERT INTO consent (tenant, id, pid, purpose, scope, notice_sha256, jurisdiction, method, expires_at)"
                " VALUES ('club', %s, %s, 'face-match', %s, '', 'DE', 'test', now() + %s::interval)",
                [person.consent, pid, scope, lasts],
            )
            for face in faces:
                self.add_template(person, face)
        return person

    def consent_anew(self, person: Person, scope: str, lasts: str = "1 year") -> None:
        """Another consent in place of the one in force, as `subjects.consent.give` does it."""
        new = uuid4()
        with self.truth.transaction():
            self.withdraw(person)
            self.truth.execute(
                "INSERT INTO consent (tenant, id, pid, purpose, scope, notice_sha256, jurisdiction, method, expires_at)"
                " VALUES ('club', %s, %s, 'face-match', %s, '', 'DE', 'test', now() + %s::interval)",
                [new, person.pid, scope, lasts],
            )
            execute(self.truth, load("subjects")["move_templates"], tenant="club", old=person.consent, new=new)

    def add_template(self, person: Person, face: Vectors) -> UUID:
        row = uuid4()
        self.truth.execute(
            "INSERT INTO template (tenant, id, pid, consent_id, model, sealed) VALUES ('club', %s, %s, %s, %s, %s)",
            [row, person.pid, person.consent, MODEL, seal_template(person.subject, row, MODEL, face)],
        )
        person.templates.append(row)
        return row

    def withdraw(self, person: Person) -> None:
        self.truth.execute("UPDATE consent SET withdrawn_at = now() WHERE id = %s", [person.consent])
