"""Defines the names that several modules check: their patterns, and which of those that users chose are refused.

The patterns have no anchors: use `re.fullmatch` or `^…$`.
"""

from __future__ import annotations

from unicodedata import is_normalized

ENTITY_NAME = r"[a-z0-9][a-z0-9-]{0,62}"  # a tenant, source, endpoint or hash list, as the database has it
OWN_SOURCES = ("api", "enrolment")  # of what comes by `/v1/images`, and of photos for enrolment: no webhook's names
PACK_NAME = r"[a-z0-9][a-z0-9-]*"  # a pack or head, which names files
POLICY_NAME = r"[a-z0-9][a-z0-9-]{0,63}"  # a rule or filter of a policy, a shipped policy
COUNTRY = r"[A-Z]{2}"  # ISO 3166-1
JURISDICTION = rf"{COUNTRY}(-[A-Z0-9]{{1,3}})?"  # a country, or a part of one by ISO 3166-2


def name_fault(name: str) -> str | None:
    """Explains why a platform's id cannot be taken, or returns None.

    Clients and proxies remove the segments `.` and `..` from a path before they send it (RFC 3986 §5.2.4), and would
    then address something else.
    """
    return "`.` and `..` are no ids: in an address they lead elsewhere" if name in (".", "..") else None


def ref_fault(ref: str) -> str | None:
    """Explains why a platform's id of a person cannot be taken, or returns None.

    Pseudonyms are computed from its bytes, so that one person under two forms of Unicode would be two.
    """
    if not is_normalized("NFC", ref):
        return "an id of a person is written in Unicode's form NFC; this one is not, and would be another person"
    return name_fault(ref)
