"""A name whose answer changes from query to query gains nothing: what was checked is what is dialled."""

from __future__ import annotations

import random

from tests.adversarial.netns import Job, Outcome, fetch_inside
from tests.fixtures.figures import Figure

REBINDS, SEED = 1_000, 20261123
PUBLIC = ("93.184.216.34", "1.1.1.1", "2606:2800:220:1::1")
PRIVATE = (
    *("127.0.0.1", "10.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0"),  # noqa: S104
    *("::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1"),
)
# How each name behaves, and what a fetch from it may end in.
KINDS = {
    "private after public": "",
    "private on the second hop": "FetchRefused",
    "public after private": "FetchRefused",
    "both at once": "FetchRefused",
}


def rebind(number: int, rng: random.Random, *, guarded: bool = True) -> tuple[str, Job, list[list[str]], str]:
    """A job of the next kind, its name's answers and the private address in them."""
    kind = list(KINDS)[number % len(KINDS)]
    public, private = rng.choice(PUBLIC), rng.choice(PRIVATE)
    url = f"http://rebind-{number}.example/"
    answers = {
        "private after public": [[public], [private]],
        "private on the second hop": [[public], [private]],
        "public after private": [[private], [public]],
        "both at once": [rng.sample([public, private], 2)],
    }[kind]
    if kind == "private on the second hop":
        url += f"to?{url}"
    return kind, Job(url, guarded=guarded), answers, private


def run(count: int, *, guarded: bool = True) -> list[tuple[str, str, Outcome]]:
    """Kind, private address and outcome of each."""
    rng = random.Random(SEED)
    made = [rebind(number, rng, guarded=guarded) for number in range(count)]
    zone = {f"rebind-{number}.example": answers for number, (_, _, answers, _) in enumerate(made)}
    outcomes = fetch_inside([job for _, job, _, _ in made], zone)
    return [(kind, private, outcome) for (kind, _, _, private), outcome in zip(made, outcomes, strict=True)]


def test_no_rebind_reaches_the_private_answer(figure: Figure) -> None:
    ran = run(REBINDS)
    for kind, _, outcome in ran:
        assert outcome.error == KINDS[kind], (kind, outcome)
        assert set(outcome.packets) <= set(PUBLIC), (kind, outcome)
        assert set(outcome.queries.values()) == {2 if kind == "private on the second hop" else 1}, (kind, outcome)
    dialled = sum(bool(outcome.packets) for _, _, outcome in ran)
    assert dialled == REBINDS // 2  # the first two kinds, once each, at the public answer
    private = sum(not set(outcome.packets) <= set(PUBLIC) for _, _, outcome in ran)
    figure(f"rebinds, TTL 0: {REBINDS} cases, {private} reached")


def test_the_canary_sees_rebinds_that_are_not_checked(figure: Figure) -> None:
    ran = run(100, guarded=False)
    private = sum(not set(outcome.packets) <= set(PUBLIC) for _, _, outcome in ran)
    figure(f"the same without the address check: 100 cases, {private} reached")
    assert private >= 50  # the second and the third kind
