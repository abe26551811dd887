"""The demo's page: one HTML file, its pictures beside it, nothing loaded from anywhere else."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from PIL import Image

from assent.core.display import visible_lines
from assent.decisions.document import from_json
from assent.decisions.render.annotate import annotate
from assent.media.decode import decode
from examples.outcome import Circle, Outcome, Proof, Told, matches_of
from examples.photos import Person

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: visible_lines(value) if type(value) is str else value,  # files and accounts have any name
)
THUMBNAIL = 320
SCOPES = {"own": "only in their own posts", "connections": "in their own posts and in those of accounts they follow"}


def build(outcome: Outcome, folder: Path) -> Path:
    """Writes the annotated pictures and `index.html` into `folder`, which must exist. The page's path."""
    looked = [_decided(told, number, folder) for number, told in enumerate(outcome.told, 1) if not told.failed]
    html = PAGES.get_template("demo.html").render(
        people=[_person(person, number, folder) for number, person in enumerate(outcome.cast.people, 1)],
        enrolment=outcome.cast.enrolment,
        looked=looked,
        failed=[_common(told) for told in outcome.told if told.failed],
        totals=_totals(outcome),
        proof=_proof(outcome.proof),
        proofs_held=outcome.proofs_held,
        circle=_circle(outcome.circle) if outcome.circle else None,
        checks=outcome.checks,
    )
    page = folder / "index.html"
    page.write_text(html, encoding="utf-8")
    return page


def _circle(circle: Circle) -> dict[str, Any]:
    return {
        "account": circle.account,
        "named": len(circle.named),
        "comments": [one.comment for one in circle.reports],
        "resolved": all(one.resolved_at for one in circle.reports),
        "retracted": circle.retracted.type,
        "left": len(matches_of(circle.retracted)),
        "stood": circle.stood,
    }


def _totals(outcome: Outcome) -> dict[str, Any]:
    faces = [face for told in outcome.told for face in told.faces]
    matched = sum(1 for face in faces if face["match"])
    return {
        "posts": len(outcome.told),
        "faces": len(faces),
        "matched": matched,
        "alone": len(faces) - matched,
        "delivery": round(median(told.milliseconds for told in outcome.told)),
        "seconds": round(outcome.seconds),
    }


def _common(told: Told) -> dict[str, Any]:
    document = {**told.data, "audit": {**told.data["audit"], "checkpoint": "…"}}
    return {
        "title": told.photo.title,
        "author": told.photo.author,
        "source": told.photo.source,
        "note": told.photo.note,
        "action": told.action,
        "rules": told.data.get("rules") or [],
        "type": told.delivery.type,
        "webhook_id": told.delivery.id,
        "ms": round(told.milliseconds),
        "leaf": told.data["audit"]["leaf"],
        "error": told.error,
        "document": json.dumps(document, indent=2, ensure_ascii=False),
    }


def _decided(told: Told, number: int, folder: Path) -> dict[str, Any]:
    common, tags = _common(told), told.data.get("tags") or []
    alone = len(told.faces) - len(told.matched)
    described = {"matched": sorted(told.matched), "alone": alone, "tags": _best_tags(tags)}
    if told.photo.data is None:
        return {**common, **described, "picture": None}
    picture = annotate(decode(told.photo.data).frames[0], from_json(told.data))
    name = f"{number:02}.jpg"
    picture.save(folder / name, quality=88)
    shown = {"file": name, "width": picture.width, "height": picture.height, "alt": _alt(told, alone)}
    return {**common, **described, "picture": shown}


def _best_tags(tags: list[dict[str, Any]]) -> list[tuple[str, float, int]]:
    """Each tag's name once, with its best score and how often it was seen, best first."""
    scores: dict[str, list[float]] = {}
    for tag in tags:
        scores.setdefault(tag["name"], []).append(tag["score"])
    return sorted(((name, max(of), len(of)) for name, of in scores.items()), key=lambda tag: -tag[1])


def _alt(told: Told, alone: int) -> str:
    parts = [told.photo.title]
    if told.matched:
        parts.append(f"framed and named: {', '.join(sorted(told.matched))}")
    if alone:
        parts.append("one face made unrecognisable" if alone == 1 else f"{alone} faces made unrecognisable")
    return "; ".join(parts) + "."


def _person(person: Person, place: int, folder: Path) -> dict[str, Any]:
    pictures = []
    for number, file in enumerate(person.photos[:4], 1):
        with Image.open(BytesIO(file)) as opened:
            image = opened.convert("RGB")
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        name = f"enrolled-{place:02}-{number}.jpg"
        image.save(folder / name, quality=88)
        alt = f"Enrolment photo {number} of {person.name}"
        pictures.append({"file": name, "width": image.width, "height": image.height, "alt": alt})
    follows = ", ".join(person.follows) or "nobody"
    return {
        "name": person.name,
        "scope": person.scope,
        "means": SCOPES[person.scope],
        "follows": follows,
        "pictures": pictures,
    }


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "title": proof.told.photo.title,
        "checkpoint": proof.told.data["audit"]["checkpoint"].strip(),
        "size": proof.checkpoint.size,
        "index": proof.index,
        "leaf": proof.leaf.decode("utf-8", "backslashreplace"),
        "path": [step.hex() for step in proof.path],
        "root": proof.checkpoint.root.hex(),
    }
