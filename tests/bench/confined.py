"""What the decode child costs a picture beside decoding in the process itself: `python -m tests.bench.confined`.

Medians over 100 decodes of a photo of 1 MP, the cases in turn. `one tenant` has its child, `six in turn` are more than
a worker keeps children for, so that each picture gets a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from statistics import median

from PIL import Image

from assent.media.compare import confirm
from assent.media.decode import decode
from assent.media.sandbox import CHILDREN, Decoder
from tests.unit.perceive_photos import photo

TIMES = 100


def here(data: bytes) -> None:
    decoded = decode(data)
    confirm(data, decoded)


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    out = BytesIO()
    Image.fromarray(photo("astronaut.png")).resize((1024, 1024)).save(out, "JPEG", quality=90)
    data, seconds = out.getvalue(), {"in the process": [0.0], "one tenant": [0.0], "six in turn": [0.0]}
    with Decoder() as first, Decoder() as second:
        for n in range(TIMES):
            tenant = str(n % (CHILDREN + 2))
            seconds["in the process"].append(timed(lambda: here(data)))
            seconds["one tenant"].append(timed(lambda: first.decode(data)))
            seconds["six in turn"].append(timed(partial(second.decode, data, tenant)))
    base = median(seconds["in the process"][1:])
    for case, all_seconds in seconds.items():
        middle = median(all_seconds[1:])
        print(f"{case}: {middle * 1e3:.1f} ms, {(middle - base) * 1e3:+.1f} ms, {middle / base:.2f} x")


if __name__ == "__main__":
    main()
