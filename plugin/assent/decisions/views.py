"""One document per audience: the platform's cut down to what the policy lets others know. Pure.

The platform gets the decision as it is. The author gets what was found in their picture and why, without scores; the
person in it their own face; the public what everybody may know, which is the action and the tags' names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from assent.core.values import Audience, Perception, Said, Verdict
from assent.policy.views import SHOWN

_HEAD = ("schema", "event", "tenant", "revision")
_TAG = {"platform": (), "author": ("category", "box", "frame"), "person": ("category",), "public": ("category",)}


def stored(verdict: Verdict, seen: Perception) -> dict[str, Any]:
    """What each audience is told, as it is stored beside the perceptions: a tag's place, with its name where that is
    another one."""
    return {
        audience: {
            "tags": [n if seen.tags[n].name == name else [n, name] for n, name in said.tags],
            "faces": said.faces,
            "matches": said.matches,
        }
        for audience, said in verdict.said.items()
    }


def told(row: Mapping[str, Any], audience: Audience) -> Said:
    """What the policy tells that audience, from a row of `decision`. Nothing is told to others than the platform of a
    picture that was not looked at, or was decided before this was kept."""
    said = (row["audiences"] or {}).get(audience)
    if said is None:
        faces, matches = SHOWN[audience] if audience == "platform" else (False, False)
        return Said((), faces, matches)
    seen = row["perceptions"]["tags"]
    tags = ((one, seen[one]["name"]) if isinstance(one, int) else (one[0], one[1]) for one in said["tags"])
    return Said(tuple(tags), said["faces"], said["matches"])


def without(row: Mapping[str, Any], labels: Collection[str]) -> dict[str, Any] | None:
    """What is stored in a row of `decision` for its audiences, without the tags of those labels, whether they stand
    there under that name or another."""
    if row["audiences"] is None:
        return None
    seen = row["perceptions"]["tags"]

    def stays(one: int | list[Any]) -> bool:
        n, name = (one, None) if isinstance(one, int) else one
        return not {seen[n]["name"], name} & set(labels)

    return {
        audience: {**said, "tags": [one for one in said["tags"] if stays(one)]}
        for audience, said in row["audiences"].items()
    }


def view(
    document: dict[str, Any],
    perceptions: Mapping[str, Any],
    audience: Audience,
    said: Said,
    own: Sequence[int],
    notice: Mapping[str, str],
) -> dict[str, Any]:
    """The document for an audience; `document` is the platform's with every face, `own` the places of the person's own
    faces."""
    faces = document["faces"] if said.faces else []
    if audience == "platform":
        return {**document, "faces": faces}
    if audience == "person":
        faces = [document["faces"][n] for n in own]
    media = document["media"]
    found: dict[str, Any] = {
        **{name: document[name] for name in _HEAD},
        "audience": audience,
        "media": {"id": media["id"], "width": media["width"], "height": media["height"]},
        "tags": [_tag(perceptions["tags"][n], name, audience) for n, name in said.tags],
        "faces": [{"box": face["box"], "frame": face["frame"], "match": face["match"]} for face in faces],
        "action": document["action"],
        "policy": document["policy"],
        "decided_at": document["decided_at"],
    }
    if audience == "author":
        found["rules"] = [{"id": rule["id"]} for rule in document["rules"]]
        found["statement"], found["notice"] = document.get("statement"), dict(notice)
    return found


def _tag(seen: Mapping[str, Any], name: str, audience: Audience) -> dict[str, Any]:
    return {"name": name, **{part: seen[part] for part in _TAG[audience]}}
