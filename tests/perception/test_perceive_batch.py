"""Pictures of several threads share the models' batches, and nothing else: no result, no error, no embedding."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from assent.core.errors import Undecodable
from assent.core.values import Perception, Picture
from assent.perceive import Models, perceive
from assent.perceive.frames.batch import MAX_IMAGES, Batcher
from tests.unit.perceive_photos import photo, picture
from tests.waiting import until

NAMES = ("astronaut.png", "chelsea.png", "t1.jpg", "coffee.png")
FRAMELESS = Picture("0" * 64, "png", 10, 10, 0, ())
TWO_CHANNELS = picture(np.zeros((9, 9, 2), np.uint8))  # what no decoder gives: it fails inside the runtime


class HeldSession:
    """The safety network's session, which waits before each run until it is let go; `sizes` counts what went in."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.go = threading.Event()
        self.entered = threading.Event()
        self.sizes: list[int] = []

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, names: None, feed: dict[str, Any]) -> Any:
        self.sizes += [len(values) for values in feed.values()]
        self.entered.set()
        assert self.go.wait(30)
        return self._session.run(names, feed)


class Queue:
    """Threads that come to a batcher one after the other while a first picture keeps the models busy."""

    def __init__(self, models: Models) -> None:
        self.session = HeldSession(models.safety.net.session)
        net = replace(models.safety.net, session=self.session)
        self._batcher = Batcher(replace(models, safety=replace(models.safety, net=net)))
        self._threads = ThreadPoolExecutor(MAX_IMAGES + 4)
        self._first = self._threads.submit(self._batcher, picture(photo("page.png")), False)
        assert self.session.entered.wait(30)

    def put(self, one: Picture, compare: bool = True) -> Future[Perception]:
        before = len(self._batcher._waiting)
        future = self._threads.submit(self._batcher, one, compare)
        until(lambda: len(self._batcher._waiting) > before, "the picture waits for the models")
        return future

    def open(self) -> None:
        self.session.go.set()
        self._first.result(30)

    def close(self) -> None:
        self.session.go.set()
        self._threads.shutdown()


@pytest.fixture
def queue(models: Models) -> Iterator[Queue]:
    queue = Queue(models)
    yield queue
    queue.close()


def test_those_who_wait_go_together_and_each_gets_its_own(queue: Queue, models: Models) -> None:
    waiting = [(name, queue.put(picture(photo(name)))) for name in NAMES]
    queue.open()
    for name, future in waiting:
        (alone,) = perceive(models, [picture(photo(name))])
        got = future.result(30)
        assert [face.box for face in got.faces] == [face.box for face in alone.faces]
        assert [tag.name for tag in got.tags] == [tag.name for tag in alone.tags]
    assert queue.session.sizes == [1, len(NAMES)]


def test_no_more_than_so_many_go_together(queue: Queue) -> None:
    small = np.asarray(cv2.resize(photo("coffee.png"), (60, 40)), np.uint8)
    waiting = [queue.put(picture(small), False) for _ in range(MAX_IMAGES + 2)]
    queue.open()
    for future in waiting:
        assert "dlib-resnet@55533b28a958" not in future.result(30).models
    assert sum(queue.session.sizes) == 1 + len(waiting)
    assert len(queue.session.sizes) == 4  # the first alone; eight in two of the network's batches of four; the last two


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(("broken", "error"), [(FRAMELESS, Undecodable), (TWO_CHANNELS, ValueError)])
def test_an_error_is_its_own_pictures_alone(queue: Queue, broken: Picture, error: type[Exception], place: int) -> None:
    pictures = [picture(photo("astronaut.png")), picture(photo("t1.jpg"))]
    pictures.insert(place, broken)
    waiting = [queue.put(one) for one in pictures]
    queue.open()
    failed = waiting.pop(place)
    with pytest.raises(error):
        failed.result(30)
    assert [len(future.result(30).faces) for future in waiting] == [1, 6]


def test_a_picture_that_nobody_may_be_matched_in_is_not_embedded_in_company(queue: Queue) -> None:
    compared = queue.put(picture(photo("t1.jpg")), True)
    only_checked = queue.put(picture(photo("t1.jpg")), False)
    queue.open()
    assert all(face.embedding is not None for face in compared.result(30).faces)
    assert all(face.embedding is None for face in only_checked.result(30).faces)
    assert only_checked.result(30).embedder == ""
