"""Loads a policy file as a whole, or raises PolicyInvalid saying what is wrong: no policy loads in part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import cel
from pydantic import ValidationError

from assent.core.errors import PolicyInvalid
from assent.core.resources import resource
from assent.core.taxonomy import LABELS
from assent.core.values import Event, Face, Perception, Picture, PolicyRef, ReviewQueue, Tag
from assent.policy.assemble import Assembled, assemble_policy
from assent.policy.expression import Reading, needs_of, read_expression
from assent.policy.input import FLAGS, Needs, above, policy_input
from assent.policy.model import Filter, LoadedRule, Policy, canonical_json
from assent.policy.problems import policy_diagnostics
from assent.policy.schema import EmitModel, PolicyModel, RuleModel

# What the evaluator is known to raise; it has no error class of its own.
CEL_ERRORS = (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError)
_MOST_STORED = 32  # stored policies that stay compiled; compiling the default takes 40 ms
_MAX_PROBLEMS = 20  # problems that one refusal lists


def load_policy(path: Path | None = None) -> Policy:
    """Loads the policy in that file with its includes; without a path, the shipped `default.yaml`.

    Raises PolicyInvalid, naming file, line and column, when a file is missing, empty, too large, no YAML that can be
    read in one way, or not of the schema; where a label, name or function is unknown or a condition is too long, too
    deep, no CEL or neither true nor false; and where rules contradict each other or can never hold.
    """
    return _build(assemble_policy(path or resource("policies") / "default.yaml"))


@lru_cache(maxsize=_MOST_STORED)
def stored_policy(canonical: str) -> Policy:
    """Loads the policy that `Policy.canonical` wrote, once for each text. Raises PolicyInvalid."""
    try:
        model = PolicyModel.model_validate_json(canonical)
    except ValidationError as error:
        raise PolicyInvalid(
            f"the stored policy is not of this version's schema: {error.error_count()} errors"
        ) from None
    return _build(Assembled(model, {}))


def _build(assembled: Assembled) -> Policy:
    model = assembled.model
    readings = {rule.id: read_expression(rule.when) for rule in model.rules}
    needs = needs_of(readings)
    wrong = [*policy_diagnostics(assembled, readings)]
    programs: dict[str, cel.Program] = {}
    if not wrong:
        for rule in model.rules:
            if program := _compile(rule, needs, assembled.span_of(f"rules/{rule.id}"), wrong):
                programs[rule.id] = program
    if wrong:
        raise PolicyInvalid("\n".join(wrong[:_MAX_PROBLEMS]))
    return Policy(
        ref=PolicyRef(model.name, model.version, hashlib.sha256(canonical_json(model)).hexdigest()),
        thresholds={entry: limit.threshold for entry, limit in model.labels.items()},
        withheld_entries=frozenset(entry for entry, limit in model.labels.items() if not limit.emit),
        rules=tuple(_loaded(rule, readings[rule.id], programs[rule.id]) for rule in model.rules),
        filters=tuple(_filter(emit) for emit in model.emit),
        cases=model.cases,
        needs=needs,
        approval=model.matches.approval,
        recognises=model.matches.enabled,
        statements=model.statements,
        model=model,
    )


def _loaded(rule: RuleModel, reading: Reading, program: cel.Program) -> LoadedRule:
    then = rule.then
    return LoadedRule(
        id=rule.id,
        program=program,
        action=then.strength,
        about=reading.labels,
        emit=frozenset(then.emit),
        suppress=frozenset(then.suppress),
        rename=then.rename,
        redact=frozenset(then.redact),
        review=ReviewQueue(then.review.queue, then.review.priority) if then.review else None,
        notify=then.notify,
        model=rule,
    )


def _compile(rule: RuleModel, needs: Needs, where: str, wrong: list[str]) -> cel.Program | None:
    """Compiles a condition and checks that it is true or false on two sample images.

    One sample shows nothing, the other everything that the conditions name. Problems are added to `wrong`.
    """
    try:
        program = cel.compile(rule.when)
        for sample in _samples(needs):
            result = program.execute(sample)
            if not isinstance(result, bool):
                wrong.append(f"{where}: rule {rule.id} is {type(result).__name__}, not true or false")
                break
    except CEL_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        wrong.append(f"{where}: rule {rule.id}: {reason}")
        return None
    return program


def _samples(needs: Needs) -> Iterator[dict[str, Any]]:
    event, picture = Event("media.created", (), "public", "post"), Picture("", "jpeg", 100, 100, 1, ())
    yield policy_input(event, picture, Perception((), (), ()), (), (), needs)
    wanted = {*needs.score, *needs.near_face, *FLAGS.values()}
    tags = [Tag(one.name, one.category, 1.0, (1, 1, 9, 9), 0, "") for one in LABELS if wanted & {*above(one.name)}]
    faces = (Face((1, 1, 9, 9), 0, 0.9, 0.9), Face((60, 1, 9, 9), 0, 0.9, 0.9))
    yield policy_input(event, picture, Perception(tuple(tags), faces, ()), tags, (0,), needs)


def _filter(emit: EmitModel) -> Filter:
    return Filter(
        id=emit.id,
        to=frozenset(emit.to),
        regions=frozenset(emit.regions),
        ages=frozenset(emit.ages),
        surfaces=frozenset(emit.surfaces),
        only=frozenset(emit.only) if emit.only is not None else None,
        never=frozenset(emit.never),
        faces=emit.faces,
        matches=emit.matches,
    )
