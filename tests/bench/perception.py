"""The models: our pipeline beside nudenet's, dlib's and insightface's own calls, on the same photos and threads."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import onnxruntime
from PIL import Image

from assent.core.values import Event, Frame, MediaRef, Picture, Pixels
from assent.media.sandbox import Decoder
from assent.perceive import DEFAULT_PACK, Models, load_models, perceive
from assent.perceive.faces import embed
from assent.perceive.faces import quality as faces
from assent.perceive.faces.detect import detect_faces
from assent.perceive.frames.batch import MAX_IMAGES, Batcher
from assent.perceive.frames.noise import cleaned
from assent.perceive.frames.prepare import placed, tensor
from assent.perceive.labels.heads import predict_tags
from assent.perceive.labels.whole_frames import label_frames
from assent.perceive.networks.runtime import Net
from assent.perceive.packs.manifest import locate, read_pack
from assent.perceive.safety import detect as safety
from assent.pipeline import Stages, analyse, no_match
from assent.policy.load import load_policy
from assent.worker.loop import PICTURE_JOBS
from tests.bench.photos import Photo
from tests.bench.rounds import Case, OtherLoad, Tick, in_turn
from tests.installed import package_file

SCRFD = Path("scrfd_500m/det_500m.onnx")
ONE_FACE = "perceive, one face, 1 MP"
LABELS = "labels network"
PLAIN = "the networks alone"
CASES = 17


@dataclass(frozen=True, slots=True)
class Perceived:
    """Seconds of every case in every round, each over all photos or, where it is about faces, all faces."""

    photos: int
    faces: int
    threads: int
    seconds: dict[str, list[float]]
    inside: dict[str, list[float]]  # share of a case's time inside ONNX Runtime, by round
    other_cores: float  # busy with something else meanwhile
    absent: str = ""  # why insightface was not measured


class Clock:
    """A session that adds up the time spent in its runs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.spent = 0.0

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        return self._session.get_outputs()

    def run(self, names: None, feed: dict[str, Any]) -> Any:
        began = time.perf_counter()
        outputs = self._session.run(names, feed)
        self.spent += time.perf_counter() - began
        return outputs


class ClockedModels:
    """Our models with a clock in every session of the default pack (dlib finds the landmarks without one); `inside`
    keeps, by case, the share of its time that these counted."""

    def __init__(self, models: Models) -> None:
        self.clocks: list[Clock] = []
        watchers = tuple(replace(model, net=self._with_clock(model.net)) for model in models.watchers)
        shared = [new for old, new in zip(models.watchers, watchers, strict=True) if old is models.backbone]
        self.models = replace(
            models,
            safety=replace(models.safety, net=self._with_clock(models.safety.net)),
            nsfw=models.nsfw and replace(models.nsfw, net=self._with_clock(models.nsfw.net)),
            watchers=watchers,
            backbone=(shared or [replace(models.backbone, net=self._with_clock(models.backbone.net))])[0],
            embedder=self._with_clock(models.embedder),
            heads=tuple(replace(head, net=self._with_clock(head.net)) for head in models.heads),
        )
        self.inside: dict[str, list[float]] = {}

    def clocked(self, name: str, case: Case) -> Case:
        shares = self.inside.setdefault(name, [])

        def run() -> None:
            before, began = self._spent(), time.perf_counter()
            case()
            shares.append((self._spent() - before) / (time.perf_counter() - began))

        return run

    def _with_clock(self, net: Net) -> Net:
        self.clocks.append(Clock(net.session))
        return replace(net, session=self.clocks[-1])

    def _spent(self) -> float:
        return sum(clock.spent for clock in self.clocks)


def measure(folder: Path, photos: Sequence[Photo], threads: int, rounds: int, tick: Tick) -> Perceived:
    """Every case in `rounds` rounds; models are converted into `folder`."""
    models = load_models(folder / "models", threads)
    ours = ClockedModels(models)
    shapes = _shapes(models, photos)
    scrfd, absent = _insightface(folder / "scrfd", threads)
    with _pipeline(models, photos) as whole, OtherLoad() as other:
        cases = _theirs(photos, threads, scrfd) | _ours(ours, photos) | {"pipeline": whole}
        cases |= _embedders(folder, models, shapes) | _labels(models, photos) | _plain(models, photos, shapes)
        seconds = in_turn(cases, rounds, tick)
    inside = {name: shares[1:] for name, shares in ours.inside.items()}  # the first round does not count
    return Perceived(len(photos), len(shapes), threads, seconds, inside, other.cores, absent)


def _ours(ours: ClockedModels, photos: Sequence[Photo]) -> dict[str, Case]:
    pictures = [photo.picture for photo in photos]
    batches = [pictures[at : at + MAX_IMAGES] for at in range(0, len(pictures), MAX_IMAGES)]
    models = ours.models
    pixels = cv2.resize(np.array(Image.open(package_file("skimage", "data/astronaut.png"))), (1000, 1000))
    one_face = Picture("", "jpeg", 1000, 1000, 1, (Frame(0, np.asarray(pixels, np.uint8), 1.0),))
    return {
        "safety + faces": lambda: [_safety_and_faces(models, [one]) for one in pictures],
        "safety + faces, batched": lambda: [_safety_and_faces(models, batch) for batch in batches],
        "perceive": ours.clocked("perceive", lambda: [perceive(models, [one]) for one in pictures]),
        "perceive, batched": ours.clocked("perceive, batched", lambda: [perceive(models, b) for b in batches]),
        ONE_FACE: ours.clocked(ONE_FACE, lambda: perceive(models, [one_face])),
    }


def _safety_and_faces(models: Models, pictures: Sequence[Picture]) -> object:
    """What nudenet's calls do, and no more: boxes of body parts, faces among them."""
    pixels = [cleaned(picture.frames[0].pixels) for picture in pictures]
    return detect_faces(models, pixels, safety.detect(models.safety, pixels))


def _labels(models: Models, photos: Sequence[Photo]) -> dict[str, Case]:
    """The two networks that look at whole frames, from pixels to boxes and labels, and each head on its features."""
    frames = [photo.picture.frames[0] for photo in photos]
    features = [one.features[None] for one in label_frames(models, frames)]
    cases: dict[str, Case] = {
        "part detector": lambda: [safety.detect(models.safety, [frame.pixels]) for frame in frames],
        LABELS: lambda: [label_frames(models, [frame]) for frame in frames],
    }
    for head in models.heads:
        cases[f"head {head.file.name}"] = lambda head=head: [predict_tags([head], one, [0]) for one in features]  # type: ignore[misc]  # lambda's default
    return cases


def _plain(models: Models, photos: Sequence[Photo], shapes: Sequence[tuple[Pixels, Any]]) -> dict[str, Case]:
    """A loop over the same networks' sessions on inputs that are ready, one photo and one face at a time."""
    calls: list[tuple[Any, dict[str, Any]]] = []
    for photo in photos:
        pixels = photo.picture.frames[0].pixels
        inputs = [(models.safety, safety.prepare_frames([pixels], models.safety.spec))]
        frames = [*models.watchers, *((models.nsfw,) if models.nsfw else ())]
        inputs += [(model, tensor(placed(pixels, model.spec).pixels[None], model.spec)) for model in frames]
        calls += [(model.net.session, {model.net.session.get_inputs()[0].name: ready}) for model, ready in inputs]
    embedder = models.embedder.session
    for face in shapes:
        chip = dlib.get_face_chip(*face, 150, 0.25)
        calls.append((embedder, {embedder.get_inputs()[0].name: chip[None]}))
    return {PLAIN: lambda: [session.run(None, feed) for session, feed in calls]}


@contextmanager
def _pipeline(models: Models, photos: Sequence[Photo]) -> Iterator[Case]:
    """Files to verdicts with as many threads as a worker has, every face embedded as if it could be matched."""

    def everybody(_tenant: str, _event: Event) -> int:
        return 1

    def one(photo: Photo) -> None:
        media = MediaRef(photo.name, None)
        event = Event("media.created", (media,), "public", "post", "somebody")
        analyse(stages, policy, "bench", event, media, photo.data)

    with Decoder() as decoder, ThreadPoolExecutor(PICTURE_JOBS) as pool:
        stages, policy = Stages(decoder, Batcher(models), everybody, no_match), load_policy(None)
        yield lambda: list(pool.map(one, photos))


def _theirs(photos: Sequence[Photo], threads: int, scrfd: Any) -> dict[str, Case]:
    from nudenet import NudeDetector  # after assent, which turns the runtime's telemetry off

    detector = NudeDetector()
    file = locate(read_pack(DEFAULT_PACK).one("safety"))
    detector.onnx_session = onnxruntime.InferenceSession(str(file), _threads(threads))  # its own takes no options
    blue_first = [np.ascontiguousarray(photo.picture.frames[0].pixels[..., ::-1]) for photo in photos]
    cases: dict[str, Case] = {
        "nudenet detect": lambda: [detector.detect(pixels) for pixels in blue_first],
        "nudenet detect_batch": lambda: detector.detect_batch(blue_first, batch_size=4),
    }
    if scrfd is not None:
        cases["insightface detection"] = lambda: [scrfd.get(pixels) for pixels in blue_first]
    return cases


def _threads(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return options


def _insightface(folder: Path, threads: int) -> tuple[Any, str]:
    """FaceAnalysis with SCRFD-500M alone, or None and why. Its weights are for research only, so nothing ships them."""
    models = Path(os.environ.get("ASSENT_TEST_MODELS") or Path(__file__).resolve().parents[3] / "shared" / "models")
    if not (models / SCRFD).is_file():
        return None, f"no {SCRFD} in ASSENT_TEST_MODELS"
    from insightface.app import FaceAnalysis

    folder.mkdir(parents=True)
    shutil.copy(models / SCRFD, folder)
    manifest = {"manifest_version": 2, "model_id": "scrfd-500m", "license": "MODEL.LICENSE"}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"tasks": {"detection": {"file": SCRFD.name}}}))
    providers = ["CPUExecutionProvider"]
    app = FaceAnalysis(str(folder), allowed_modules=["detection"], providers=providers, sess_options=_threads(threads))
    app.prepare(ctx_id=-1, det_size=(640, 640))
    return app, ""


def _shapes(models: Models, photos: Sequence[Photo]) -> list[tuple[Pixels, Any]]:
    """Every face that would be embedded: its frame and dlib's five points."""
    shapes = []
    for photo in photos:
        pixels = photo.picture.frames[0].pixels
        (detections,) = safety.detect(models.safety, [pixels])
        for detection in faces.select_faces(detections, models.safety.file.threshold):
            left, top, right, bottom = (round(value) for value in detection.corners)
            if right - left >= faces.LEAST_WIDTH:
                shapes.append((pixels, models.landmarks(pixels, dlib.rectangle(left, top, right - 1, bottom - 1))))
    return shapes


def _embedders(folder: Path, models: Models, shapes: Sequence[tuple[Pixels, Any]]) -> dict[str, Case]:
    dlib_model = dlib.face_recognition_model_v1(str(locate(read_pack(DEFAULT_PACK).one("embedder"))))
    single = load_models(folder / "models", 1)

    def chip(pixels: Pixels, shape: Any) -> Pixels:
        made: Pixels = dlib.get_face_chip(pixels, shape, 150, 0.25)
        return made

    def one_by_one(models: Models) -> None:
        for face in shapes:
            embed.embed(models.embedder, models.calibration.mean, [chip(*face)])

    return {
        "dlib descriptor": lambda: [dlib_model.compute_face_descriptor(*face, 0, 0.25) for face in shapes],
        "embed": lambda: one_by_one(models),
        "embed, batched": lambda: embed.embed(models.embedder, models.calibration.mean, [chip(*f) for f in shapes]),
        "embed, one thread": lambda: one_by_one(single),
    }
