"""Provides what `assent train` and `assent eval` share: models, cache, progress, and the list of skipped files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from assent.core.errors import LearnMissing
from assent.core.settings import Settings

if TYPE_CHECKING:
    from assent.learn.dataset import Example, Skipped
    from assent.learn.features import Featured
    from assent.learn.views import View

MOST_LISTED = 20


def need_learn() -> None:
    """Raises LearnMissing where scikit-learn or matplotlib is not installed."""
    if absent := [name for name in ("sklearn", "matplotlib") if find_spec(name) is None]:
        raise LearnMissing(f"not installed: {', '.join(absent)}")


def command() -> str:
    """Returns the command line as typed, without this machine's folders before the program's name."""
    return shlex.join(["assent", *sys.argv[1:]])


@contextmanager
def ticking(what: str, total: int) -> Iterator[Callable[[], object]]:
    """Shows a progress bar on the terminal; call the yielded function once for each finished item."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda: progress.advance(bar)


def features_of(settings: Settings, examples: Sequence[Example], view: View | None = None) -> tuple[str, Featured]:
    """Returns the backbone's id, and the pooled features of all examples that can be decoded.

    With `view` the features are those of an altered copy of each.
    """
    from assent.learn.cache import Cache
    from assent.learn.features import featured
    from assent.media.sandbox import Decoder
    from assent.perceive import open_backbone

    base, net = open_backbone(settings.threads)
    cache = Cache(settings.data_dir / "features", base.id, base.width)
    with Decoder() as decoder, ticking("looking", len(examples)) as tick:
        return base.id, featured(net, base.width, cache, decoder, examples, tick, view)


def list_skipped(skipped: Sequence[Skipped], console: Console) -> None:
    if skipped:
        console.print(f"[yellow]{len(skipped)} left out[/]", highlight=False)
    for one in skipped[:MOST_LISTED]:
        console.print(f"  {one.what}: {one.why}", highlight=False, markup=False)
    if len(skipped) > MOST_LISTED:
        console.print(f"  … and {len(skipped) - MOST_LISTED} more", highlight=False)


def write_skipped(skipped: Sequence[Skipped], path: Path) -> None:
    """Writes all skipped files, one a line; writes no file where there are none."""
    path.unlink(missing_ok=True)
    if not skipped:
        return
    path.write_text("".join(f"{one.what}\t{one.why}\n" for one in skipped), "utf-8")
