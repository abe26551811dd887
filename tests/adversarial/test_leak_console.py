"""The review console's work gives away no name of a moderator, no note, no password and no session: all that a team
typed and was given is looked for in every file of an installation, in a dump and in its logs."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import psycopg

from tests.fixtures.figures import Figure
from tests.house import House, running
from tests.integration.console_pages import hidden
from tests.integration.sign_in_page import PASSWORD, code_of, secret_on
from tests.photos import FACES, altered
from tests.scanning import Needle, database_of, dumped, everything, found, numbers_shared
from tests.web import serving

PERSON, AUTHOR, MEDIA = "planted-subject-91d0", "planted-author-5e7c", "planted-picture-c3"
NAME, OTHER = "Ottilie Planted-Moderator", "Benedikt Planted-Viewer"
NOTE, REASON, VIEW = "planted note: the third from the left", "planted reason: too hard", "planted note of a look-alike"
POLICY = """
schema: assent.policy/1
name: crowds
version: "1"
labels:
  body.covered.breast: {threshold: 0.3}
rules:
  - {id: crowd, when: "faces.count >= 6", then: {action: review}}
cases:
  - {name: nobody, given: {}, expect: {action: allow, tags: []}}
"""


def written(name: str, text: str) -> Iterator[Needle]:
    """The text as it might stand in a file: raw, hex, escaped for an address, a form or a page, base64."""
    raw = text.encode()
    forms = {raw, raw.hex().encode(), quote(text).encode(), quote(text, safe="").replace("%20", "+").encode()}
    forms |= {html.escape(text).encode(), json.dumps(text)[1:-1].encode(), text.lower().encode()}
    for form in sorted(forms):
        yield Needle(f"{name} {form.decode()}", form)
    for shift in range(3):  # where it begins within base64's groups of three
        whole = slice(-(-shift * 8 // 6), (shift + len(raw)) * 8 // 6)
        yield Needle(f"{name} base64 {shift}", base64.b64encode(bytes(shift) + raw + bytes(2))[whole])


class Desk:
    """A browser at the console of a running installation; `secrets` is what it was given and typed."""

    def __init__(self, house: House, name: str, *link: str) -> None:
        self.house = house
        self.client = httpx2.Client(base_url=house.url.replace("127.0.0.1", "localhost"), timeout=60)
        set_up = house.run("console", "link", *link).strip().rpartition("/console/")[2]
        path = f"/console/{set_up}"
        totp = secret_on(self.client.get(path).text)
        fields = {"name": name, "password": PASSWORD, "code": code_of(totp)}
        done = self.client.post(path, data=fields)
        assert done.status_code == 303, done.text
        self.secrets = {"link": set_up.rpartition("/")[2], "totp": totp, "session": self.session}

    @property
    def session(self) -> str:
        return self.client.cookies["assent_console"]

    def page(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    def send(self, path: str, **fields: str) -> httpx2.Response:
        fields = {"form": hidden(self.page("/console/settings"), "form"), **fields}
        answer = self.client.post(path, data=fields, headers={"accept": "application/json"})
        assert answer.status_code in (200, 303), f"{path}: {answer.status_code} {answer.text}"
        return answer

    def hand(self, case: str) -> dict[str, str]:
        """Claims a case; what its form says."""
        self.send(f"/console/cases/{case}/claim")
        page = self.page(f"/console/cases/{case}")
        return {name: hidden(page, name) for name in ("claim", "once", "seconds")}


def test_nothing_that_a_team_typed_lies_on_the_disk(open_folder: Path, six_people: bytes, figure: Figure) -> None:
    data = open_folder / "console-leaks"
    policy = open_folder / "crowds.yaml"
    policy.write_text(POLICY)
    with serving() as web, running(data, web, ASSENT_LOG_LEVEL="debug", ASSENT_POLICY=str(policy)) as house:
        house.wait_for_worker()
        _opt_in(house, altered(six_people, FACES["second"]))
        for n in range(3):
            _post(house, six_people + bytes([n]), f"{MEDIA}{n}")
        url = database_of(data)
        with psycopg.connect(url, autocommit=True) as conn:
            cases = [str(case) for (case,) in conn.execute("SELECT id FROM review_case ORDER BY media_id")]
        robin, kim = Desk(house, NAME, "--role", "senior", "--role", "admin"), Desk(house, OTHER, "--role", "viewer")
        secrets = _work(robin, kim, cases)
        robin.client.close()
        kim.client.close()
        with psycopg.connect(url, autocommit=True) as conn:
            shared = numbers_shared(conn)
            actions = {str(row[0]) for row in conn.execute("SELECT convert_from(leaf, 'UTF8') FROM audit_leaf")}
        dump = dumped(url, open_folder / "console-leaks.sql")
    for action in ("media.reviewed", "case.escalated", "staff.invited", "staff.signed-in"):
        assert any(f'"action":"{action}"' in leaf for leaf in actions), action
    planted = {"name": NAME, "other name": OTHER, "note": NOTE, "reason": REASON, "other note": VIEW} | secrets
    planted |= {"person": PERSON, "author": AUTHOR, "password": PASSWORD}
    sought = [needle for name, text in planted.items() for needle in written(name, text)]
    files = [*everything(data), dump]
    assert data / "serve.log" in files
    assert not found(files, sought)
    assert not shared, "a transaction wrote both a person's row and a picture's"
    control = open_folder / "control"
    control.write_bytes(b"\n".join(needle.text for needle in sought))
    assert len(found([control], sought)) == len({needle.name for needle in sought})
    assert any(f"{MEDIA}0".encode() in file.read_bytes() for file in files), "the scan reads what was stored"
    size = sum(file.stat().st_size for file in files) >> 20
    figure(f"console: {len(planted)} secrets in {len(sought)} forms, {len(files)} files of {size} MB: 0 found")


def _work(robin: Desk, kim: Desk, cases: list[str]) -> dict[str, str]:
    """Looks, vetoes, decides, undoes, escalates, decides look-alikes together; all that was secret in it."""
    first, second, third = cases
    form = robin.hand(first)
    look = robin.send(f"/console/cases/{first}/look", of="").json()["look"]
    robin.client.get(look)
    face = re.search(rf"/console/cases/{first}/faces/(\d)/veto", robin.page(f"/console/cases/{first}"))
    assert face
    robin.send(face[0], claim=form["claim"], sure="1")
    robin.send(f"/console/cases/{first}/note", note=NOTE, claim=form["claim"])
    robin.send(f"/console/cases/{first}/decide", **form, action="block", note=NOTE)
    robin.send(f"/console/cases/{first}/undo")
    robin.send(f"/console/cases/{second}/leave", claim=robin.hand(second)["claim"], how="escalate", reason=REASON)
    sheet = robin.page(f"/console/clusters/{third}")
    claim = hidden(sheet, "claim")
    robin.send(f"/console/clusters/{third}", claim=claim, ticked=third, action="allow", note=VIEW, ground="")
    link = robin.send("/console/team", name=OTHER, role="viewer").text
    named = re.search(r"/console/set-up/([A-Za-z0-9_-]{43})", link)
    assert named
    for page in ("", "/log", "/system", "/team", "/care", "/account", f"/cases/{first}/similar", f"/cases/{first}/why"):
        robin.page(f"/console{page}")
    kim.client.get(f"/console/cases/{first}/veil/2")
    secrets = {f"robin's {name}": text for name, text in robin.secrets.items()}
    secrets |= {f"kim's {name}": text for name, text in kim.secrets.items()}
    secrets |= {"look": look.rpartition("/")[2], "second link": named[1]}
    kim.send("/console/sign-out")
    return secrets


def _opt_in(house: House, photo: bytes) -> None:
    consent = {"subject": PERSON, "purpose": "face-match", "notice": "text", "notice_version": "1", "age": "adult"}
    consent |= {"jurisdiction": "DE", "method": "test"}
    given = httpx2.post(f"{house.url}/v1/consents", json=consent, headers=house.headers, timeout=30)
    assert given.status_code == 201, given.text
    address, files = f"{house.url}/v1/subjects/{PERSON}/templates", {"photos": ("me.jpg", photo)}
    enrolled = httpx2.post(address, files=files, headers=house.headers, timeout=60)
    assert enrolled.status_code == 201, enrolled.text


def _post(house: House, photo: bytes, media: str) -> None:
    """Posts a picture as the author, whom the person is connected with."""
    event = json.dumps({"id": media, "author": AUTHOR, "connections": [PERSON]})
    files = {"image": ("photo.jpg", photo)}
    address = f"{house.url}/v1/images?wait=60"
    answer = httpx2.post(address, files=files, data={"event": event}, headers=house.headers, timeout=90)
    assert answer.status_code == 200, answer.text
