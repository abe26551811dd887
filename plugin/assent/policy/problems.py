"""Finds errors in a policy of the right form: unknown names, and rules that contradict each other or can never hold.

Each error names file, line and column and, where there is one, the nearest right name. These are errors, since a rule
that cannot do what its author meant is a hole in the policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from assent.core.taxonomy import BY_NAME as LABELS
from assent.core.taxonomy import label_hint
from assent.policy.acts import ACTS
from assent.policy.assemble import Assembled
from assent.policy.expression import Reading
from assent.policy.input import above, groups
from assent.policy.schema import PolicyModel, RuleModel


def policy_diagnostics(assembled: Assembled, readings: Mapping[str, Reading]) -> Iterator[str]:
    """Yields one line for each error; `readings` holds the conditions by rule."""
    model = assembled.model
    for part, entries in (("labels", model.labels), ("rules", model.rules), ("cases", model.cases)):
        if not entries:
            yield f"{assembled.span_of('')}: has no {part}"
    for entry in model.labels:
        yield from _unknown(assembled, f"labels/{entry}", "", (entry,), groups())
    for rule in model.rules:
        yield from _condition(rule, readings[rule.id], assembled)
        yield from _effects(rule, assembled)
        yield from _unsaid_reasons(rule, assembled)
        yield from _acts(rule, assembled)
    yield from _twice(assembled)
    for emit in model.emit:
        named = (*(emit.only or ()), *emit.never)
        yield from _unknown(assembled, f"emit/{emit.id}", f"filter {emit.id}: ", named, groups())
    for case in model.cases:
        yield from _unknown(assembled, f"cases/{case.name}", f"case {case.name}: ", case.given.tags, LABELS)


def _unknown(assembled: Assembled, part: str, who: str, labels: Iterable[str], known: Collection[str]) -> Iterator[str]:
    for label in labels:
        if label not in known:
            hint = label_hint(label, known)
            yield f"{assembled.span_of(part, label)}: {who}{label} is no label of the taxonomy{hint}"


def _condition(rule: RuleModel, reading: Reading, assembled: Assembled) -> Iterator[str]:
    part = f"rules/{rule.id}"
    for problem in reading.problems:
        yield f"{assembled.span_of(part, problem.word)}: rule {rule.id}: {problem.message}"
    for label in reading.labels:
        if label in groups() and not _counts(label, assembled.model):
            message = f"rule {rule.id} asks for {label}, for which `labels` has no threshold: it can never be seen"
            yield f"{assembled.span_of(part, label)}: {message}"


def _counts(label: str, model: PolicyModel) -> bool:
    return any(entry in above(label) or label in above(entry) for entry in model.labels)


def _effects(rule: RuleModel, assembled: Assembled) -> Iterator[str]:
    part, then = f"rules/{rule.id}", rule.then
    labels = (*then.emit, *then.suppress, *then.redact, *then.rename)
    yield from _unknown(assembled, part, f"rule {rule.id}: ", labels, groups())
    both = set(then.suppress) & {*then.emit, *then.rename}
    if both:
        yield f"{assembled.span_of(part)}: rule {rule.id} both says and suppresses {min(both)}"
    if then == type(then)():
        yield f"{assembled.span_of(part)}: rule {rule.id} changes nothing"


def _unsaid_reasons(rule: RuleModel, assembled: Assembled) -> Iterator[str]:
    wanted = assembled.model.statements
    if wanted and rule.then.action in wanted.for_actions:
        for language in wanted.languages:
            if language not in rule.reason:
                span = assembled.span_of(f"rules/{rule.id}")
                yield f"{span}: rule {rule.id} restricts, and has no `reason` in {language} for the author"


def _acts(rule: RuleModel, assembled: Assembled) -> Iterator[str]:
    where = f"{assembled.span_of(f'rules/{rule.id}')}: rule {rule.id}"
    for act in rule.then.act:
        if rule.then.strength < ACTS[act].least:
            yield f"{where} asks for {act}, which needs the action {ACTS[act].least.name} or a stronger one"
        if ACTS[act].on_account and not rule.reason:
            yield f"{where} acts on the author's account ({act}), and has no `reason` that says why"
    if len(set(rule.then.act)) < len(rule.then.act):
        yield f"{where} asks for the same act twice"


def _twice(assembled: Assembled) -> Iterator[str]:
    """Yields an error for each rule with the condition of an earlier one.

    The weaker action never counts, and nobody can tell which was meant.
    """
    first: dict[str, str] = {}
    for rule in assembled.model.rules:
        same = first.setdefault("".join(rule.when.split()), rule.id)
        if same != rule.id:
            span = assembled.span_of(f"rules/{rule.id}")
            yield f"{span}: rule {rule.id} has the condition of {same}; make one of them"
