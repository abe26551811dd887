"""A tenant whose people are written straight into the primary database, from which a gallery is filled."""

from __future__ import annotations

from dataclasses import dataclass

from assent.db.pool import Conn
from assent.gallery.search import Candidates, SearchSpace, search
from assent.keys.keystore import Keystore, TenantKeys
from tests import people
from tests.authority import reseal
from tests.people import MODEL, Person, Vectors

NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class World:
    primary_database: Conn
    keystore: Keystore
    url: str

    @property
    def keys(self) -> TenantKeys:
        return self.keystore.tenant("club")

    def opt_in(self, name: str, *faces: Vectors, scope: str = "connections", lasts: str = "1 year") -> Person:
        """Writes a person of tenant `club`."""
        with self.primary_database.transaction():
            return people.opt_in(self.primary_database, self.keys, name, faces, scope, lasts)

    def consent_anew(self, person: Person, scope: str, lasts: str = "1 year") -> None:
        """Another consent in place of the one in force, as `subjects.consent.give` does it."""
        with self.primary_database.transaction():
            self.withdraw(person)
            new = people.add_consent(self.primary_database, self.keys, person.pseudonym, scope, lasts)
            self.primary_database.execute(
                "UPDATE template t SET consent_id = n.id, version = version + (n.scope <> o.scope)::integer"
                " FROM consent o, consent n WHERE o.id = t.consent_id AND o.id = %s AND n.id = %s",
                [person.consent, new],
            )
            reseal(self.primary_database, self.keys, "template")

    def withdraw(self, person: Person) -> None:
        self.primary_database.execute("UPDATE consent SET withdrawn_at = now() WHERE id = %s", [person.consent])


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
    pseudonyms = [person.pseudonym for person in connections]
    return search(gallery, SearchSpace(tenant, model, author, pseudonyms, anyone), probes)
