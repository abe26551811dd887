"""Defines the patterns of names that several modules check, without anchors: use `re.fullmatch` or `^…$`."""

from __future__ import annotations

ENTITY_NAME = r"[a-z0-9][a-z0-9-]{0,62}"  # a tenant, source, endpoint or hash list, as the database has it
PACK_NAME = r"[a-z0-9][a-z0-9-]*"  # a pack or head, which names files
POLICY_NAME = r"[a-z0-9][a-z0-9-]{0,63}"  # a rule or filter of a policy, a shipped policy
COUNTRY = r"[A-Z]{2}"  # ISO 3166-1
JURISDICTION = rf"{COUNTRY}(-[A-Z0-9]{{1,3}})?"  # a country, or a part of one by ISO 3166-2
