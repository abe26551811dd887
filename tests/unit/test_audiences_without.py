"""What a moderator removed is told to no audience, under whatever name it went."""

from __future__ import annotations

from assent.decisions.views import without_labels

PLACE = {"category": "safety", "score": 0.9, "box": None, "frame": 0, "model": "test@0"}
SEEN = {"tags": [{"name": name, **PLACE} for name in ("nudity.explicit.breast", "text.code", "nudity.explicit.anus")]}
SAID = {"tags": [0, [0, "nudity"], 1, [2, "nudity"]], "faces": False, "matches": False}


def test_by_the_name_that_was_seen() -> None:
    told = without_labels({"perceptions": SEEN, "audiences": {"author": SAID}}, ("nudity.explicit.breast",))
    assert told == {"author": {**SAID, "tags": [1, [2, "nudity"]]}}


def test_by_the_name_that_was_told() -> None:
    renamed = {**SAID, "tags": [0, [1, "offer.code"]]}
    told = without_labels({"perceptions": SEEN, "audiences": {"public": renamed}}, ("offer.code",))
    assert told == {"public": {**SAID, "tags": [0]}}


def test_with_what_lies_below_it() -> None:
    told = without_labels({"perceptions": SEEN, "audiences": {"public": SAID}}, ("nudity",))
    assert told == {"public": {**SAID, "tags": [1]}}


def test_a_picture_that_nobody_looked_at_tells_nobody_anything() -> None:
    assert without_labels({"perceptions": {}, "audiences": None}, ("nudity",)) is None
