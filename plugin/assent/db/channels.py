"""Names the channels on which the primary database announces (PostgreSQL's NOTIFY)."""

from __future__ import annotations

DONE_CHANNEL = "assent_done"  # a job ended: payload `tenant job`, and what came of it
GALLERY_CHANNEL = "assent_gallery"  # payload `tenant hex(pseudonym)`, sent by the triggers of the migrations
