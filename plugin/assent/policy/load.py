"""A policy file into a policy, or PolicyInvalid saying what is wrong: nothing is decided by half a policy."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cel
import rfc8785
import yaml
from pydantic import ValidationError

from assent.errors import PolicyInvalid
from assent.intake.strict import explain
from assent.policy.input import groups, policy_input
from assent.policy.schema import CaseModel, PolicyModel
from assent.resources import resource
from assent.taxonomy import BY_NAME as LABELS
from assent.values import Action, Approval, Event, Perception, Picture, PolicyRef

MAX_BYTES = 256 * 1024
# What the evaluator is known to raise; it has no error class of its own.
CEL_ERRORS = (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError)
_QUOTED = re.compile(r"""["']([a-z][a-z_.]*)["']""")


@dataclass(frozen=True, slots=True)
class LoadedRule:
    id: str
    program: cel.Program
    action: Action
    about: tuple[str, ...]  # the labels its condition names, for the reason a person reads


@dataclass(frozen=True, slots=True)
class Policy:
    ref: PolicyRef
    thresholds: dict[str, float]
    rules: tuple[LoadedRule, ...]
    cases: tuple[CaseModel, ...]
    approval: Approval = "never"


def load_policy(path: Path | None = None) -> Policy:
    """The policy in that file; the shipped `default.yaml` without one.

    Raises PolicyInvalid when the file is missing, empty, too large, no YAML, not of the schema, names an unknown label
    or holds a condition that does not compile or does not evaluate to true or false.
    """
    path = path or resource("policies") / "default.yaml"
    try:
        model = PolicyModel.model_validate(_read(path))
    except ValidationError as error:
        raise PolicyInvalid(f"{path.name}: {explain(error)}") from None
    for label in model.labels:
        if label not in LABELS:
            raise PolicyInvalid(f"{path.name}: labels.{label} is no label of the taxonomy")
    sample = policy_input(
        Event("media.created", (), "public", "post"), Picture("", "jpeg", 1, 1, 1, ()), Perception((), (), ())
    )
    rules = tuple(
        LoadedRule(rule.id, _compile(path, rule.id, rule.when, sample), rule.then.strength, _named(path, rule.when))
        for rule in model.rules
    )
    canonical = rfc8785.dumps(model.model_dump(mode="json", by_alias=True))
    ref = PolicyRef(model.name, model.version, hashlib.sha256(canonical).hexdigest())
    thresholds = {label: limit.threshold for label, limit in model.labels.items()}
    return Policy(ref, thresholds, rules, model.cases, model.matches.approval)


def _read(path: Path) -> Any:
    try:
        text = path.read_bytes()
        if len(text) > MAX_BYTES:
            raise PolicyInvalid(f"{path.name} is larger than {MAX_BYTES} bytes")
        return yaml.safe_load(text)
    except OSError as error:
        raise PolicyInvalid(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise PolicyInvalid(f"{path.name} is no YAML: {error}") from error


def _compile(path: Path, rule: str, when: str, sample: dict[str, Any]) -> cel.Program:
    # CEL finds an unknown name only when it evaluates, so each condition is evaluated once on an empty picture.
    try:
        program = cel.compile(when)
        result = program.execute(sample)
    except CEL_ERRORS as error:
        raise PolicyInvalid(f"{path.name}: rule {rule}: {error}") from error
    if not isinstance(result, bool):
        raise PolicyInvalid(f"{path.name}: rule {rule} is {type(result).__name__}, not true or false")
    return program


def _named(path: Path, when: str) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(name for name in _QUOTED.findall(when) if "." in name or name in groups()))
    for name in named:
        if name not in groups():
            raise PolicyInvalid(f"{path.name}: {name} is no label of the taxonomy")
    return named
