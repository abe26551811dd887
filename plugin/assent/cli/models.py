"""`assent models`: lists the models, what they may be used for, and which are in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from assent.core.errors import AssentError, ModelMissing, ModelUnknown
from assent.core.settings import Settings

if TYPE_CHECKING:  # the models' libraries take a second to import, which no other command should wait for
    from assent.perceive.packs.active import PackChoice
    from assent.perceive.packs.manifest import ModelFile, Pack

app = typer.Typer(no_args_is_help=True, help="Model packs: list, show, pull, verify, use.")

WHICH = (
    "Start with `embedded`; for production take `auraface`, whose weights a company may use and whose embedder is ten "
    "times as large, and measure it with `assent eval faces PEOPLE --calibrate`: before that nobody is matched."
)

PackName = Annotated[str, typer.Argument(help="A pack, as `assent models list` names them.")]


@app.command("list")
def list_() -> None:
    """Show the packs, whether their files are present, and which are in use."""
    from assent.perceive.packs.active import DEFAULT_PACK, read_choice
    from assent.perceive.packs.manifest import read_pack, shipped_packs

    settings = Settings()
    chosen = read_choice(settings.models_dir).packs
    table = Table("", "pack", "files", "commercial use", "what it is")
    own = sorted(path.stem for path in (settings.models_dir / "packs").glob("*.toml"))
    for name in dict.fromkeys([*shipped_packs(), *own]):
        pack = read_pack(name, settings.models_dir)
        here = sum(_is_here(file, settings.models_dir) for file in pack.file)
        uses = ", ".join(sorted({file.commercial_use for file in pack.file}))
        used = name == DEFAULT_PACK or any(spec.partition(":")[0] == name for spec in chosen)
        table.add_row("✓" if used else "", name, f"{here} of {len(pack.file)}", uses, pack.summary)
    Console().print(table)
    if chosen:
        print(f"In use: {' '.join(chosen)}, and {DEFAULT_PACK} for what they leave open.")
    print(WHICH)


@app.command("show")
def show(pack: PackName) -> None:
    """Show everything a pack's manifest states of its files."""
    from assent.perceive.packs.manifest import read_pack
    from assent.perceive.packs.model_set import own_calibration

    settings = Settings()
    manifest = read_pack(pack, settings.models_dir)
    print(f"{manifest.name}: {manifest.summary}")
    for file in manifest.file:
        print(f"\n{file.role}: {file.id}, {file.path}, {file.size:,} bytes, sha256 {file.sha256}")
        here = _is_here(file, settings.models_dir)
        from_ = f"Python package {file.package}" if file.package else file.url or "no public address; bring it --from"
        print(f"  from          {from_}{'' if here else ' (not here yet)'}")
        print(f"  licence       {file.licence}")
        accept = f'; ASSENT_ACCEPT_LICENCE="{file.accept}" accepts it' if file.accept else ""
        print(f"  commercial    {file.commercial_use}{accept}")
        print(f"  trained on    {file.training_data}")
        print(f"  card          {manifest.folder / file.card}")
        if file.role == "embedder":
            own = own_calibration(settings.models_dir, file.id)
            packaged = file.calibration or "none: nobody is matched until you measure it"
            print(f"  calibration   {own if own.is_file() else packaged}")


@app.command("pull")
def pull(
    pack: PackName,
    folder: Annotated[Path | None, typer.Option("--from", help="A folder that holds the files, by any name.")] = None,
) -> None:
    """Fetch a pack's files into the data folder. A download that was cut off continues where it stopped."""
    from assent.perceive.packs.manifest import check_licence, read_pack
    from assent.perceive.packs.pull import from_address, from_folder

    settings = Settings()
    manifest = read_pack(pack, settings.models_dir)
    for file in manifest.file:
        check_licence(file, settings.accept_licence)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        for file in _wanted(manifest, settings.models_dir):
            task = bar.add_task(file.path, total=file.size)

            def shown(done: int, task: int = task) -> None:
                bar.update(task, completed=done)  # type: ignore[arg-type]  # rich's own name for an int

            if folder is None:
                path = from_address(file, settings.models_dir, settings.allow_private, shown)
            else:
                path = from_folder(file, settings.models_dir, folder, shown)
            print(f"{file.id}: {path}")
    print(f"The files of {pack} are here. `assent models use {pack}` puts them to use.")


@app.command("verify")
def verify(
    pack: Annotated[str | None, typer.Argument(help="One pack; the shipped ones that are here otherwise.")] = None,
) -> None:
    """Check the files that are present against their manifests' sha256; status 1 when one differs or is missing."""
    from assent.perceive.packs.manifest import read_pack, read_verified, shipped_packs

    settings, wrong = Settings(), 0
    for name in [pack] if pack else shipped_packs():
        for file in read_pack(name, settings.models_dir).file:
            if pack is None and not _is_here(file, settings.models_dir):
                continue
            try:
                read_verified(file, settings.models_dir)
            except AssentError as error:
                wrong += 1
                print(f"{name}: {error.detail}")
            else:
                print(f"{name}: {file.id} is the file that the manifest describes")
    raise typer.Exit(1 if wrong else 0)


@app.command("use")
def use(
    packs: Annotated[
        list[str],
        typer.Argument(
            help="In order: the first that has a role fills it. PACK, PACK:role,role or insightface@/folder."
        ),
    ],
) -> None:
    """Choose the packs in use from the next start on; `embedded` fills what they leave open and is the default."""
    from assent.perceive.faces.insightface import model_hashes
    from assent.perceive.packs.active import DEFAULT_PACK, PackChoice, folder_of, read_choice, write_choice
    from assent.perceive.packs.model_set import open_choice

    settings = Settings()
    files = tuple(file for spec in packs if (folder := folder_of(spec)) for file in model_hashes(folder))
    choice = PackChoice(tuple(spec for spec in packs if spec != DEFAULT_PACK), files)
    before = _embedder(read_choice(settings.models_dir), settings)
    models = open_choice(choice, settings.models_dir, settings.threads, settings.accept_licence)
    write_choice(settings.models_dir, choice)
    print(f"In use from the next start of `assent serve` and `assent worker`: {' '.join(packs)}.")
    for role, name in (("safety", models.safety_id), ("faces", models.finder_id), ("embedder", models.embedder_id)):
        print(f"  {role:<10}{name}")
    for net in (*models.watchers, *models.liveness):
        print(f"  {net.file.role:<10}{net.id}")
    if models.embedder_id != before:
        print("Templates carry the model that made them and are never compared with another's: people who are enrolled")
        print("are not recognised by this pack until they send their photos again. Their consent still stands.")
    if not models.calibration.templates_supported():
        print(f"{models.embedder_id} is not calibrated here: nobody is matched until you measure it with")
        print("`assent eval faces PEOPLE --calibrate`.")


def _is_here(file: ModelFile, models_dir: Path) -> bool:
    from assent.perceive.packs.manifest import locate

    try:
        return bool(locate(file, models_dir))
    except ModelMissing:
        return False


def _wanted(pack: Pack, models_dir: Path) -> list[ModelFile]:
    """Returns the pack's files that are missing or differ from the manifest.

    The files of Python packages are installed by pip.
    """
    from assent.perceive.packs.manifest import read_verified

    wanted = []
    for file in pack.file:
        try:
            read_verified(file, models_dir)
        except (ModelMissing, ModelUnknown):
            if file.package is not None:
                raise
            wanted.append(file)
    return wanted


def _embedder(choice: PackChoice, settings: Settings) -> str:
    """Returns the embedder of a choice by its name; empty for a folder of one's own, which would have to be opened."""
    from assent.perceive.packs.active import fill, folder_of

    if any(map(folder_of, choice.packs)):
        return ""
    return fill(choice, settings.models_dir, settings.accept_licence)["embedder"][0].file.id
