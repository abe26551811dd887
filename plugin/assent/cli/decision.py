"""`assent decision`: explains a decision."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.context import Source, tenant_transaction
from assent.core.clock import format_minute
from assent.core.display import visible, visible_json
from assent.core.errors import NotFound, PolicyInvalid
from assent.db.pool import Conn, Row, fetch_one
from assent.db.queries import named_queries
from assent.decisions import views as audiences
from assent.decisions.assemble import Recipient, assemble_view
from assent.decisions.document import Moderation, from_json
from assent.decisions.media_items import find_item
from assent.policy import versions
from assent.policy.model import NEVER, Policy
from assent.policy.views import AUDIENCES

app = typer.Typer(no_args_is_help=True, help="Decisions: explain.")
_Q = named_queries("policy")


@app.command()
def explain(
    media_id: Annotated[str, typer.Argument(help="The platform's id of the picture.")],
    source: Source = None,
    author: Annotated[bool, typer.Option("--author", help="What its author may know, as JSON.")] = False,
    tenant: Annotated[str, typer.Option(help="Whose picture.")] = "default",
) -> None:
    """Explain a decision: the tags with score, box, model and threshold, the rules that held, and the policy."""
    with tenant_transaction(tenant) as (conn, keys):
        item = find_item(conn, tenant, media_id, source)
        if author:
            view = assemble_view(conn, keys, item, Recipient("author"))
            if view is None:
                raise NotFound(f"no decision on a picture {media_id}")
            print(visible_json(audiences.document_json(view), indent=2))
            return
        row = fetch_one(conn, _Q["read_newest_decision"], **item.key(tenant))
        if row is None:
            raise NotFound(f"no decision on a picture {media_id}")
        _why(Console(), row, _policy(conn, tenant, from_json(row["document"]).policy.sha256))


def _policy(conn: Conn, tenant: str, sha256: str) -> Policy | None:
    try:
        return versions.read_policy(conn, tenant, sha256)
    except PolicyInvalid:
        return None  # decided before policies were kept


def _why(console: Console, row: Row, policy: Policy | None) -> None:
    decision = from_json(row["document"])
    ref = decision.policy
    when = f"revision {row['revision']}, {format_minute(row['decided_at'])}"
    console.print(f"{visible(decision.media.id)}: {decision.action}, {when}", markup=False)
    console.print(f"policy {ref.name} {ref.version} ({ref.sha256[:12]}), leaf {row['leaf']} of the log")
    for rule in decision.rules:
        console.print(f"rule {rule.id}: {rule.because}", highlight=False)
    for withheld in decision.withheld:
        console.print(f"{withheld.by} keeps {withheld.labels} labels from the platform", highlight=False)
    if decision.moderation:
        console.print(_moderation(decision.moderation), markup=False, highlight=False)
    console.print(_table(row, policy))


def _moderation(moderation: Moderation) -> str:
    """Describes how moderator decisions on the same file changed the decision."""
    labels = {"added": moderation.added, "removed": moderation.removed}
    parts = [f"{what} {', '.join(names)}" for what, names in labels.items() if names]
    if decided := moderation.decided:
        why = "holds" if moderation.holds else f"does not: {moderation.new_evidence}"
        parts.append(f"{decided.action} of {decided.at[:10]} {why}")
    return f"moderators, of the same file: {'; '.join(parts)} (without them: {moderation.automated.action})"


def _table(row: Row, policy: Policy | None) -> Table:
    """Returns a table of every tag that counts, and of the strongest that do not."""
    names = {audience: {n for n, _ in audiences.audience_view(row, audience).tags} for audience in AUDIENCES}
    table = Table("label", "score", "threshold", "box", "frame", "model", "told to")
    strongest_first = sorted(
        enumerate(audiences.stored_tags(row["perceptions"])), key=lambda numbered: -numbered[1].score
    )
    for n, tag in strongest_first[:40]:
        limit = policy.threshold(tag.name) if policy else None
        threshold = "" if limit is None else "not listed" if limit == NEVER else f"{limit:.2f}"
        to = ", ".join(audience for audience, tags in names.items() if n in tags)
        if not to and (limit is None or tag.score < limit):
            to = "nobody: below its threshold"
        box = " ".join(map(str, tag.box)) if tag.box else "whole"
        table.add_row(tag.name, f"{tag.score:.4f}", threshold, box, str(tag.frame), tag.model, to)
    return table
