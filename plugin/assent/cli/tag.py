"""`assent tag`: tags images on this machine; without `--as` it needs no server and no database, and stores nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from assent.cli.context import operator
from assent.cli.imports import uncollected
from assent.cli.text import cell
from assent.core import telemetry
from assent.core.display import visible_json
from assent.core.errors import AssentError, BadRequest, NotFound
from assent.core.names import ref_fault
from assent.core.settings import Settings
from assent.core.values import Analysis, Event, MediaRef, PolicyRef, Quarantined, Unprocessable
from assent.db.locks import lock_shared
from assent.db.pool import transaction
from assent.decisions.assemble import name_match
from assent.decisions.document import Decision, decision_of, to_json
from assent.decisions.render.annotate import annotate
from assent.media.files import images_below, read_file
from assent.media.sandbox import open_decoder
from assent.pipeline import Stages, analyse, no_match, nobody, nothing_read
from assent.policy.load import load_policy
from assent.policy.model import Policy

THREADS = 4  # pictures under way at once: one is decoded while others go through the models


def tag(
    pictures: Annotated[list[str], typer.Argument(help="Files, folders (all pictures below them) or URLs.")],
    as_json: Annotated[bool, typer.Option("--json", help="One assent.decision/1 a line, as when piped.")] = False,
    annotated: Annotated[
        Path | None, typer.Option("--annotate", help="Write annotated copies here; unmatched faces are blurred.")
    ] = None,
    author: Annotated[
        str | None, typer.Option("--as", help="Look as if this account had posted it: needs the database.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="With --as: whose people.")] = "default",
) -> None:
    """Tag images by the policy; status 1 when one of them could not be analysed."""
    settings = Settings()
    telemetry.configure("error")
    if author is not None and (why := ref_fault(author)):
        raise BadRequest(f"--as: {why}")
    sources = list(_sources(pictures))
    lines = as_json or not sys.stdout.isatty()
    console = Console()
    failed = 0
    with _open_stages(settings, author, tenant, len(sources)) as (stages, policy, name):
        for source, decision, outcome in _analyse_all(stages, policy, sources, author, tenant, name):
            failed += isinstance(outcome, Unprocessable)
            if isinstance(outcome, Analysis) and annotated is not None:
                _write_annotated(annotated, source, outcome, decision)
            if lines:
                print(visible_json(to_json(decision)), flush=True)
            else:
                console.print(_table(source, decision))
    raise typer.Exit(1 if failed else 0)


Name = Callable[[Analysis, Decision], Decision]  # fills in who was matched


@contextmanager
def _open_stages(
    settings: Settings, author: str | None, tenant: str, count: int
) -> Iterator[tuple[Stages, Policy, Name | None]]:
    # The models' libraries take a second to import, which no other command should wait for.
    with uncollected():
        from assent.perceive import load_models as load_models
        from assent.perceive.frames.batch import Batcher
        from assent.perceive.text.tags import open_reader

    models = load_models(settings.models_dir, settings.threads, settings.accept_licence, settings.second_opinion)
    if author is None:
        with open_decoder(settings) as decoder:
            read = open_reader(settings) or nothing_read
            stages = Stages(decoder, Batcher(models), nobody, no_match, settings.allow_private, read=read)
            yield stages, load_policy(settings.policy), None
        return
    from assent.gallery.matching import host_gallery
    from assent.keys.installation import database
    from assent.keys.pseudonym import derive_pseudonym
    from assent.policy.decide import waits
    from assent.subjects.access import record_access
    from assent.worker.loop import open_worker_context

    with ExitStack() as stack:
        url = stack.enter_context(database(settings))
        decoder = stack.enter_context(open_decoder(settings))
        context = stack.enter_context(open_worker_context(settings, url, models, decoder, host_gallery(settings)))
        context.gallery.wait_ready()
        keys = context.keystore.tenant(tenant)
        with transaction(context.pool) as conn:
            policy = context.policies.of(conn, tenant).active
            people = [derive_pseudonym(keys, author)]
            record_access(conn, keys, "subject.searched", operator(), people, images=count)

        def name(analysis: Analysis, decision: Decision) -> Decision:
            faces, people = list(decision.faces), set[bytes]()
            with transaction(context.pool) as conn:
                lock_shared(conn, tenant, [match.pseudonym for match in analysis.matches])
                for match in analysis.matches:
                    if waits(analysis.verdict.approval, match.pseudonym == derive_pseudonym(keys, author)):
                        continue
                    named = name_match(conn, keys, match)
                    faces[match.face] = replace(faces[match.face], match=named)
                    people |= {match.pseudonym} if named else set()
                if people:
                    record_access(conn, keys, "subject.found", operator(), sorted(people))
            return replace(decision, faces=tuple(faces))

        yield context.stages, policy, name


def _sources(pictures: list[str]) -> Iterator[str]:
    for picture in pictures:
        if picture.startswith(("http://", "https://")):
            yield picture
            continue
        path = Path(picture)
        if path.is_dir():
            yield from map(str, images_below(path))
        elif path.is_file():
            yield picture
        else:
            raise NotFound(f"{picture} is no file, no folder and no http(s) URL")


def _analyse_all(
    stages: Stages, policy: Policy, sources: list[str], author: str | None, tenant: str, name: Name | None
) -> Iterator[tuple[str, Decision, Analysis | Quarantined | Unprocessable]]:
    progress = Progress(console=Console(stderr=True), transient=True, disable=len(sources) < 2)
    with progress, ThreadPoolExecutor(THREADS) as threads:
        bar = progress.add_task("looking", total=len(sources))
        # A few ahead, not all: decoded pictures are large.
        for start in range(0, len(sources), 4 * THREADS):
            part = sources[start : start + 4 * THREADS]
            outcomes = threads.map(lambda p: _analyse_one(stages, policy, tenant, p, author), part)
            for source, outcome in zip(part, outcomes, strict=True):
                yield source, _decision(source, outcome, policy.ref, tenant, name), outcome
                progress.advance(bar)


def _analyse_one(
    stages: Stages, policy: Policy, tenant: str, source: str, author: str | None
) -> Analysis | Quarantined | Unprocessable:
    is_url = source.startswith(("http://", "https://"))
    media = MediaRef(_id(source), source if is_url else None)
    event = Event("media.created", (media,), "public", "post", author)
    try:
        return analyse(stages, policy, tenant, event, media, None if is_url else read_file(Path(source)))
    except AssentError as error:
        return Unprocessable(error)


def _id(source: str) -> str:
    """Returns a file's name as a decision can hold it: bytes that are not UTF-8 are spelled as `\\xff`."""
    return os.fsencode(source).decode(errors="backslashreplace")


def _decision(
    source: str, outcome: Analysis | Quarantined | Unprocessable, policy: PolicyRef, tenant: str, name: Name | None
) -> Decision:
    decision = decision_of(tenant, None, MediaRef(_id(source), None), 1, outcome, policy)
    return name(outcome, decision) if name is not None and isinstance(outcome, Analysis) else decision


def _write_annotated(folder: Path, source: str, analysis: Analysis, decision: Decision) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(source.split("?")[0]).stem or "picture"
    annotate(analysis.picture.frames[0], decision).save(
        folder / f"{stem}-{analysis.picture.sha256[:8]}.jpg", quality=88
    )


def _table(source: str, decision: Decision) -> Table:
    table = Table(title=cell(_id(source)), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", min_width=8)
    table.add_column()
    if decision.error:
        table.add_row("failed", cell(f"{decision.error.code}: {decision.error.detail}"))
    for tag_ in decision.tags:
        table.add_row("tag", f"{tag_.name}  {tag_.score:.2f}  {list(tag_.box) if tag_.box else ''}")
    for face in decision.faces:
        who = face.match.subject if face.match else "nobody known here"
        table.add_row("face", cell(f"{who}  {list(face.box)}"))
    for rule in decision.rules:
        table.add_row("rule", cell(f"{rule.id}: {rule.because}"))
    table.add_row("action", f"[bold]{decision.action}[/]")
    return table
