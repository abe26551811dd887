"""Derives the slots of a subject's list of matches, which nobody joins without the subject's own key.

The list has the numbers 0, 1, 2 … A match takes the next one; its row carries the keyed hash of the number, a value
that stands in no other row and tells nothing of whose it is. Whoever has the key computes the hashes and reads those
rows alone. A fresh key begins an empty list.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256

from assent.keys.subject_keys import SubjectKey

LIST_FORMAT = b"assent.match-list/1"
SLOT = 16  # bytes: of 2^40 slots no two are equal, but once in 2^48 tenants


def match_slots(subject: SubjectKey, numbers: Iterable[int]) -> list[bytes]:
    """Returns the slots with these numbers, each from 0 to 2^63 - 1, in their order; SLOT bytes each."""
    key = hmac.digest(subject.key, LIST_FORMAT, sha256)
    return [hmac.digest(key, number.to_bytes(8), sha256)[:SLOT] for number in numbers]
