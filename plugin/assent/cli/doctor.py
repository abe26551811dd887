"""`assent doctor`: reports what is present, what is missing, and the command that repairs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.models import WHICH
from assent.core.errors import AssentError
from assent.core.host_errors import ProcessorUnsupported
from assent.core.processors import has_avx, usable_processors
from assent.core.settings import Settings
from assent.db.health import clock_difference, superuser_name
from assent.db.migrate import OLDEST_SERVER, missing_migrations
from assent.db.pool import Pool, fetch, open_pool, transaction
from assent.db.queries import named_queries
from assent.db.queue import count_matches
from assent.embedded.clusters import find_room, why_not_private
from assent.embedded.swap import unencrypted_swap
from assent.keys.installation import database, open_keys
from assent.policy.cases import run_cases
from assent.policy.load import load_policy

CLOCK_SECONDS = 5.0  # machines that ask an NTP server lie well within it; /readyz bears a minute


_LAYER_REPAIRS = {
    "own uid": "start the worker as root; the other layers act",
    "Landlock": "a kernel with Landlock, 5.13 or newer; the other layers act",
    "empty root": "permit mount namespaces; the other layers act",
}


class Finding(NamedTuple):
    what: str
    ok: bool
    detail: str
    repair: str = ""  # with `ok` a warning

    @property
    def mark(self) -> str:
        """Returns what stands at the beginning of its line."""
        return "[red]no[/]" if not self.ok else "[yellow]warning[/]" if self.repair else "[green]ok[/]"


def doctor() -> None:
    """Check this installation; status 1 when something has to be repaired."""
    settings = Settings()
    findings = [finding for check in CHECKS for finding in _run(check, settings)]
    table = Table("", "what", "found", "to mend it")
    for finding in findings:
        table.add_row(finding.mark, finding.what, finding.detail, finding.repair)
    console = Console()
    console.print(table)
    names = Table("setting", "value", "what it does")
    for name, field in Settings.model_fields.items():
        names.add_row(f"ASSENT_{name.upper()}", str(getattr(settings, name)), field.description or "")
    console.print(names)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _run(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except AssentError as error:
        name = check.__name__.removeprefix("_").replace("_", " ")
        yield Finding(name, False, error.detail, error.remedy if error.detail != error.remedy else "")


def _runtime(_settings: Settings) -> Iterator[Finding]:
    versions = {name: _version(name) for name in ("onnxruntime", "onnxruntime-gpu")}
    present = [f"{name} {number}" for name, number in versions.items() if number]
    repair = "pip uninstall both, then install requirements-cpu.txt or requirements-gpu.txt"
    yield Finding("ONNX Runtime", len(present) == 1, ", ".join(present) or "none", "" if len(present) == 1 else repair)
    clash = _version("opencv-python") and _version("opencv-python-headless")
    detail = "two packages write cv2/" if clash else f"opencv-python {_version('opencv-python')}"
    yield Finding("OpenCV", not clash, detail, "pip uninstall opencv-python-headless" if clash else "")


def _processor(_settings: Settings) -> Iterator[Finding]:
    detail = f"{usable_processors()} to be used, {'with' if has_avx() else 'without'} AVX"
    yield Finding("processors", True, detail, "" if has_avx() else ProcessorUnsupported.remedy)


def _models(settings: Settings) -> Iterator[Finding]:
    from assent.perceive.faces.insightface import model_hashes
    from assent.perceive.packs.active import fill, folder_of, read_choice
    from assent.perceive.packs.manifest import read_verified

    yield Finding("model pack", True, WHICH)
    choice = read_choice(settings.models_dir)
    for folder in filter(None, map(folder_of, choice.packs)):
        same = set(model_hashes(folder)) <= set(choice.files)
        detail = "the files that were chosen" if same else "other files than were chosen"
        yield Finding(f"faces by {folder}", same, detail, "" if same else f"assent models use insightface@{folder}")
    roles = fill(choice, settings.models_dir, settings.accept_licence)
    for file in (filled.file for role in roles.values() for filled in role):
        read_verified(file, settings.models_dir)
        detail = f"{file.role}: {file.id}, {file.licence}; commercial use {file.commercial_use}"
        yield Finding(f"model {file.name}", True, detail)
    yield from _own_heads(settings)


def _own_heads(settings: Settings) -> Iterator[Finding]:
    """Names the heads in the data folder that take another network's features, and so do not run."""
    from assent.perceive.labels.backbone import backbone
    from assent.perceive.labels.heads import folders, head_files, read_head
    from assent.perceive.packs.model_set import default_backbone

    running = backbone(default_backbone().file).id
    for name, path in head_files(folders(settings.models_dir)[1:]).items():
        if (made_for := read_head(path).backbone) != running:
            yield _head_of_former_backbone(name, f"{path} is made for {made_for} and does not run")


def _head_of_former_backbone(name: str, detail: str, tenant: str = "default") -> Finding:
    again = f"assent learn export --pictures --tenant {tenant} FOLDER, then assent train --name {name} anew"
    return Finding(f"head {name}", True, detail, again)


def _text(settings: Settings) -> Iterator[Finding]:
    from assent.perceive.text.ocr import INSTALL, is_installed
    from assent.perceive.text.tags import open_reader

    reader = open_reader(settings)
    installed = "installed" if is_installed() else f"not installed: {INSTALL}"
    blocked = len(reader.blocked.words) + len(reader.blocked.phrases) + len(reader.blocked.strings) if reader else 0
    detail = f"ASSENT_READ={settings.read}, {blocked} blocked words; the extra `text` is {installed}"
    yield Finding("text in pictures", True, detail)


def _policy(settings: Settings) -> Iterator[Finding]:
    policy = load_policy(settings.policy)
    wrong = run_cases(policy)
    detail = f"{policy.ref.name} {policy.ref.version}, {len(policy.cases)} cases, {len(wrong)} wrong"
    yield Finding("policy", not wrong, detail, "assent policy check" if wrong else "")


def _decode_child(settings: Settings) -> Iterator[Finding]:
    """Starts the decode child as a worker does, and tells which layers confine it and which are forbidden here."""
    from assent.media.sandbox import open_decoder

    with open_decoder(settings) as decoder:
        layers = decoder.layers
    yield Finding("decode child", True, f"confined by {', '.join(name for name, why in layers.items() if not why)}")
    for name, why in layers.items():
        if why:
            repair = _LAYER_REPAIRS.get(name, "let the container and the kernel permit it; the other layers act")
            yield Finding(f"decode child, {name}", True, f"absent: {why}", repair)


def _gallery_memory(settings: Settings) -> Iterator[Finding]:
    find_room(settings.gallery_dir, settings.data_dir, unsafe_on_disk=settings.unsafe_gallery_on_disk)
    why = why_not_private(settings.gallery_dir.resolve())
    detail = f"{settings.gallery_dir}, where other processes of this user see it: {why}"
    repair = "allow mount namespaces: to root CAP_SYS_ADMIN, to others user namespaces"
    yield Finding("gallery memory", True, detail if why else "seen by its server alone", repair if why else "")
    open_areas = unencrypted_swap()
    detail = f"{', '.join(open_areas)}: memory may be written there in the clear" if open_areas else "none in the clear"
    yield Finding("swap", True, detail, "swapoff -a, or swap to an encrypted device" if open_areas else "")


def _proxies(settings: Settings) -> Iterator[Finding]:
    named = ", ".join(map(str, settings.proxies))
    missing = not named and (settings.console_origin or "").startswith("https:")
    detail = "none named, and ASSENT_CONSOLE_ORIGIN is https: all who come by a proxy count as one address"
    yield Finding("proxies", True, detail if missing else named or "none", "set ASSENT_PROXIES" if missing else "")


def _database(settings: Settings) -> Iterator[Finding]:
    with database(settings) as url:
        yield from _server(url)
        pending = missing_migrations(url)
        detail = "schema is new enough" if not pending else f"{len(pending)} migrations to apply"
        yield Finding("database", not pending, detail, "assent init" if pending else "")
        if not pending:
            with open_pool(url, size=1) as pool:
                tenants = open_keys(settings, pool).tenants()
                yield Finding("keystore", bool(tenants), f"{len(tenants)} tenants", "" if tenants else "assent init")
                yield from _missed_matches(pool)
                yield from _refused_keys(pool)
                yield from _ended_heads(pool)


def _missed_matches(pool: Pool) -> Iterator[Finding]:
    """Counts the images that were decided while no worker had room for a gallery."""
    with transaction(pool) as conn:
        count = count_matches(conn)
    if count:
        detail = f"{count} images were decided without matching, and are matched when a worker has room for a gallery"
        yield Finding("missed matches", False, detail, "see gallery memory, on the worker's host")


def _refused_keys(pool: Pool) -> Iterator[Finding]:
    """Names the keys whose platform states an author or connections and is refused."""
    with transaction(pool) as conn:
        rows = fetch(conn, named_queries("instance")["list_keys_refused_match"])
    for row in rows:
        tenant, key = row["tenant"], row["id"]
        detail = f"sent author or connections without scope images:match, last on {row['match_refused_on']}"
        scopes = " ".join(f"--scope {scope}" for scope in (*row["scopes"], "images:match"))
        add = f"assent api-key add --tenant {tenant} {scopes}"
        yield Finding(
            f"API key {key} of {tenant}", False, detail, f"{add}, then assent api-key revoke --tenant {tenant} {key}"
        )


def _ended_heads(pool: Pool) -> Iterator[Finding]:
    """Names the heads that ended because the network whose features they took is no longer in use."""
    with transaction(pool) as conn:
        rows = fetch(conn, named_queries("feedback")["list_ended_heads"])
    for row in rows:
        detail = (
            f"{row['sha256'][:12]} of {row['tenant']} was made for a former backbone and ended {row['since']:%Y-%m-%d}"
        )
        yield _head_of_former_backbone(row["name"], detail, row["tenant"])


def _server(url: str) -> Iterator[Finding]:
    with open_pool(url, size=1) as pool, pool.connection() as conn:
        major, minor = divmod(conn.info.server_version, 10_000)
        seconds, superuser = clock_difference(conn).total_seconds(), superuser_name(conn)
    repair = "" if major >= OLDEST_SERVER else f"use PostgreSQL {OLDEST_SERVER} or newer, or the embedded one"
    yield Finding("PostgreSQL", not repair, f"{major}.{minor}; {OLDEST_SERVER} or newer is needed", repair)
    repair = "" if abs(seconds) <= CLOCK_SECONDS else "synchronise both by NTP (chrony, systemd-timesyncd)"
    off = f"{abs(seconds):.1f} s {'behind' if seconds < 0 else 'ahead of'}"
    detail = f"the database's is {off} this machine's; at most {CLOCK_SECONDS:.0f} s are good"
    yield Finding("clocks", not repair, detail, repair)
    repair = "take a role that owns this database and is no superuser" if superuser else ""
    detail = f"{superuser} is a superuser" if superuser else "no superuser"
    yield Finding("database role", True, detail, repair)


CHECKS = (_runtime, _processor, _models, _text, _policy, _decode_child, _gallery_memory, _proxies, _database)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
