"""A tenant whose people are written straight into the truth, from which a gallery is filled."""

from __future__ import annotations

from dataclasses import dataclass

from assent.db.pool import Conn, execute
from assent.db.queries import named_queries
from assent.gallery.search import Candidates, search
from assent.keys.keystore import Keystore, TenantKeys
from tests import people
from tests.people import MODEL, Person, Vectors

NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class World:
    truth: Conn
    keystore: Keystore
    url: str

    @property
    def keys(self) -> TenantKeys:
        return self.keystore.tenant("club")

    def opt_in(self, name: str, *faces: Vectors, scope: str = "connections", lasts: str = "1 year") -> Person:
        """Writes a person of tenant `club`."""
        with self.truth.transaction():
            return people.opt_in(self.truth, self.keys, name, faces, scope, lasts)

    def consent_anew(self, person: Person, scope: str, lasts: str = "1 year") -> None:
        """Another consent in place of the one in force, as `subjects.consent.give` does it."""
        with self.truth.transaction():
            self.withdraw(person)
            new = people.add_consent(self.truth, self.keys, person.pseudonym, scope, lasts)
            execute(self.truth, named_queries("subjects")["move_templates"], tenant="club", old=person.consent, new=new)

    def withdraw(self, person: Person) -> None:
        self.truth.execute("UPDATE consent SET withdrawn_at = now() WHERE id = %s", [person.consent])


def ask(
    gallery: Conn,
    probes: Vectors,
    author: bytes = NOBODY,
    connections: tuple[Person, ...] = (),
    anyone: bool = False,
    model: str = MODEL,
    tenant: str = "club",
) -> Candidates:
    """Compares faces with those whom the author and the connections may find."""
    circle = [person.pseudonym for person in connections]
    return search(gallery, tenant=tenant, model=model, author=author, connections=circle, anyone=anyone, probes=probes)
