"""Describes the packs in use: the choice that `assent models use` wrote, and the file that it gives each role.

A choice is a list of packs. For each role the first of them that has a file for it counts, and `embedded` fills what is
left: with `auraface`, faces and embeddings come from there and safety from `embedded`. `opencv-zoo:labels,objects`
takes only those roles of a pack; `insightface@/folder` is an operator's own folder, read by the insightface library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from assent.core.errors import ModelUnknown, PackUnknown
from assent.core.files import replace_file
from assent.core.names import PACK_NAME
from assent.perceive.packs.manifest import ModelFile, Pack, Role, check_licence, read_pack

DEFAULT_PACK = "embedded"
OWN = "insightface"  # with @/folder: a folder of one's own
_SPEC = re.compile(rf"(?P<name>{PACK_NAME})(?:@(?P<folder>/[^:]*))?(?::(?P<roles>[a-z,]+))?")


@dataclass(frozen=True, slots=True)
class PackChoice:
    """The packs in use, and the files of each of the operator's folders by sha256, as they were when it was chosen."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    packs: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # path, sha256


@dataclass(frozen=True, slots=True)
class ResolvedRole:
    """A role's file, and the pack that it comes from."""

    pack: Pack
    file: ModelFile


_CHOICE = TypeAdapter(PackChoice)


def read_choice(models_dir: Path) -> PackChoice:
    """Reads the choice in `<models_dir>/active.json`; without that file it is the default. Raises PackUnknown."""
    path = models_dir / "active.json"
    try:
        return _CHOICE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return PackChoice()
    except (OSError, ValidationError) as error:
        raise PackUnknown(f"{path} cannot be read; `assent models use` writes it anew") from error


def write_choice(models_dir: Path, choice: PackChoice) -> None:
    """Replaces the choice in `<models_dir>/active.json`, at once or not at all."""
    models_dir.mkdir(parents=True, exist_ok=True)
    replace_file(models_dir / "active.json", json.dumps({"packs": choice.packs, "files": choice.files}))


def folder_of(spec: str) -> Path | None:
    """Returns the operator's own folder that a choice names, None where it names a pack. Raises PackUnknown."""
    folder = _parsed(spec)["folder"]
    return Path(folder) if folder else None


def fill(choice: PackChoice, models_dir: Path, accepted: Sequence[str]) -> dict[Role, tuple[ResolvedRole, ...]]:
    """Returns the files of each role by that choice; several only for liveness, whose networks run together.

    Raises PackUnknown for an unknown pack or role, ModelUnknown for a role that a pack fills twice, LicenceNotAccepted.
    """
    filled: dict[Role, tuple[ResolvedRole, ...]] = {}
    for spec in (*choice.packs, DEFAULT_PACK):
        parts = _parsed(spec)
        if parts["folder"]:
            continue
        pack = read_pack(parts["name"] or "", models_dir)
        wanted = set((parts["roles"] or ",".join(get_args(Role))).split(","))
        if unknown := wanted - set(get_args(Role)):
            raise PackUnknown(f"{spec} names no role: {', '.join(sorted(unknown))}")
        for role in sorted({file.role for file in pack.file} & wanted - set(filled)):
            files = [file for file in pack.file if file.role == role]
            if len(files) > 1 and role != "liveness":
                raise ModelUnknown(f"pack {pack.name} has {len(files)} files of role {role}")
            for file in files:
                check_licence(file, accepted)
            filled[role] = tuple(ResolvedRole(pack, file) for file in files)
    return filled


def _parsed(spec: str) -> dict[str, str | None]:
    parts = _SPEC.fullmatch(spec)
    if parts is None or (parts["folder"] and parts["name"] != OWN):
        raise PackUnknown(f"{spec!r} is neither PACK, PACK:role,role nor {OWN}@/folder")
    return parts.groupdict()
