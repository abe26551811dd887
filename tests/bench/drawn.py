"""How many pictures count as drawings, and what is said of them otherwise: `python -m tests.bench.drawn FOLDER …`

For each folder: its pictures, those that are flat, and on how many of each the default pack's labels network says
something from 0.50 and from 0.60 up. `--list` names the flat ones of which something is said.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from assent.media.files import images_below, read_file
from assent.media.sandbox import Decoder
from assent.perceive import open_backbone
from assent.perceive.labels.drawn import flatness, is_drawn
from assent.perceive.networks.backend import LoadedModel, by_label, classify


def _measure(model: LoadedModel, decoder: Decoder, folder: Path, listed: bool) -> None:
    counts = {True: [0, 0, 0], False: [0, 0, 0]}
    for path in images_below(folder):
        pixels = decoder.decode(read_file(path)).frames[0].pixels
        (scores,) = classify(model, [pixels])
        label, score = next(iter(by_label(model, scores).items()), ("", 0.0))
        drawn = is_drawn(pixels)
        for n, least in enumerate((0.0, 0.5, 0.6)):
            counts[drawn][n] += score >= least
        if listed and drawn and score >= 0.5:
            sys.stdout.write(f"  {path.name}: {label} {score:.2f}, flatness {flatness(pixels):.2f}\n")
    for drawn, (pictures, half, more) in counts.items():
        kind = "drawn" if drawn else "photos"
        sys.stdout.write(f"{folder}: {pictures} {kind}, something on {half} from 0.50 up, on {more} from 0.60\n")


def main() -> None:
    folders = [Path(word) for word in sys.argv[1:] if word != "--list"]
    with tempfile.TemporaryDirectory() as scratch, Decoder() as decoder:
        _, model = open_backbone(2, Path(scratch))
        for folder in folders:
            _measure(model, decoder, folder, "--list" in sys.argv)


if __name__ == "__main__":
    main()
