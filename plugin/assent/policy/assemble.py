"""Assembles a policy file and its includes into one model, with the source position of each part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from assent.core.errors import PolicyInvalid
from assent.core.names import POLICY_NAME
from assent.core.resources import resource
from assent.policy import schema
from assent.policy.expression import nearest_name
from assent.policy.schema import CasesModel, PolicyModel
from assent.policy.source import Source, Where, read_source

MAX_INCLUDES = 4  # of includes inside each other
_BESIDE = re.compile(r"\./[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\.yaml")
SourceSpan = tuple[Source, Where]


class _Named(Protocol):
    @property
    def id(self) -> str: ...


_Part = TypeVar("_Part", bound=_Named)
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Assembled:
    """A policy with its includes resolved.

    `spans` holds the source position of each `labels/<name>`, `rules/<id>`, `emit/<id>` and `cases/<name>`, and under
    the empty string that of the file itself. It is empty for a policy that came from no file.
    """

    model: PolicyModel
    spans: dict[str, SourceSpan] = field(repr=False)

    def span_of(self, part: str, word: str = "") -> str:
        """Returns `file:line:column` of that part, or of a word in it; the policy's name where there is no file."""
        if part not in self.spans:
            return f"policy {self.model.name}"
        source, where = self.spans[part]
        return source.span_of(where, word)


def assemble_policy(path: Path, above: tuple[Path, ...] = ()) -> Assembled:
    """Reads a policy file, the cases beside it and its includes.

    Labels, rules and filters of the file replace included ones of the same name, at their place. Raises PolicyInvalid.
    """
    if path.resolve() in above or len(above) > MAX_INCLUDES:
        raise PolicyInvalid(f"{path.name}: includes go in a circle or deeper than {MAX_INCLUDES}")
    source = read_source(path)
    model = _validate(PolicyModel, source)
    spans: dict[str, SourceSpan] = {}
    included: list[PolicyModel] = []
    for n, name in enumerate(model.include):
        base = assemble_policy(_included(source, n, name, path), (*above, path.resolve()))
        spans |= {part: span for part, span in base.spans.items() if part and not part.startswith("cases/")}
        included.append(base.model)
    spans |= {"": (source, ()), **_spans(model, source)}
    beside = path.with_name(f"{path.stem}.cases.yaml")
    if not above and beside.is_file():
        cases_source = read_source(beside)
        more = _validate(CasesModel, cases_source).cases
        spans |= {f"cases/{case.name}": (cases_source, ("cases", n)) for n, case in enumerate(more)}
        model = model.model_copy(update={"cases": (*model.cases, *more)})
    return Assembled(_merge(included, model, spans), spans)


def _included(source: Source, n: int, name: str, path: Path) -> Path:
    if re.fullmatch(POLICY_NAME, name):
        return resource("policies") / f"{name}.yaml"
    if _BESIDE.fullmatch(name):
        return path.parent / name
    reason = f"{name!r} is neither the name of a shipped policy nor a file beside this one (./name.yaml)"
    raise PolicyInvalid(f"{source.span_of(('include', n))}: {reason}")


def _spans(model: PolicyModel, source: Source) -> dict[str, SourceSpan]:
    spans: dict[str, SourceSpan] = {f"labels/{name}": (source, ("labels", name, "")) for name in model.labels}
    spans |= {f"rules/{rule.id}": (source, ("rules", n)) for n, rule in enumerate(model.rules)}
    spans |= {f"emit/{emit.id}": (source, ("emit", n)) for n, emit in enumerate(model.emit)}
    spans |= {f"cases/{case.name}": (source, ("cases", n)) for n, case in enumerate(model.cases)}
    return spans


def _merge(included: Sequence[PolicyModel], own: PolicyModel, spans: dict[str, SourceSpan]) -> PolicyModel:
    """Merges the includes in order and the file itself last; later parts replace earlier ones.

    Name, version and cases are the file's own.
    """
    parts = [*included, own]
    ids = {one.id for part in parts for one in part.rules} | {one.id for part in parts for one in part.emit}
    for dropped in own.drop:
        if dropped not in ids:
            source, _ = spans[""]
            hint = nearest_name(dropped, ids)
            raise PolicyInvalid(f"{source.span_of(('drop',), dropped)}: nothing included is called {dropped}{hint}")
    labels = {name: limit for part in parts for name, limit in part.labels.items()}
    changed: dict[str, Any] = {
        "labels": labels,
        "rules": _by_id([part.rules for part in parts], own.drop),
        "emit": _by_id([part.emit for part in parts], own.drop),
        "informative": tuple(dict.fromkeys(one for part in parts for one in part.informative)),
        "include": (),
        "drop": (),
    }
    for part in included:
        for name in ("matches", "statements"):
            if getattr(part, name) != PolicyModel.model_fields[name].default and name not in own.model_fields_set:
                changed[name] = getattr(part, name)
    merged = own.model_copy(update=changed)
    return PolicyModel.model_validate(merged.model_dump(by_alias=True))


def _by_id(parts: Sequence[Sequence[_Part]], drop: Sequence[str]) -> tuple[_Part, ...]:
    merged = {one.id: one for part in parts for one in part}
    return tuple(one for one in merged.values() if one.id not in drop)


def _validate(kind: type[_Model], source: Source) -> _Model:
    try:
        return kind.model_validate(source.data)
    except ValidationError as error:
        lines = [_explain(one, source) for one in error.errors(include_url=False)[:10]]
        raise PolicyInvalid("\n".join(lines)) from None


def _explain(error: Any, source: Source) -> str:
    """Returns `file:line:column: rules.0.then.action: what is wrong (did you mean …?)`."""
    where: Where = tuple(part for part in error["loc"] if part != "[key]")
    path = ".".join(str(part)[:64] for part in where) or "the file"
    hint = ""
    if error["type"] == "extra_forbidden":
        hint = nearest_name(str(where[-1]), _fields())
        where = (*where, "")
    elif error["type"] == "literal_error":
        hint = nearest_name(str(error["input"]), re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    return f"{source.span_of(where)}: {path}: {error['msg']}{hint}"


def _fields() -> set[str]:
    """Returns every name that may stand in a policy file."""
    kinds = (kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, BaseModel))
    return {info.alias or name for kind in kinds for name, info in kind.model_fields.items()}
