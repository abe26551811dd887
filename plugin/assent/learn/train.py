"""Trains a head on pooled features by logistic regression.

Its strength of regularisation and its calibration are chosen on images that the fold under test was not trained on.

    1 standardise, principal components → 2 cross-validate each C → 3 temperature on the held-out scores → 4 fit once
    more on everything → 5 where there are images for validation, C and temperature by those

Every figure of a head comes from held-out scores: each image is judged by a classifier that was not trained on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.extmath import randomized_svd

from assent.learn.measure import Floats

FOLDS = 5
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)  # C of the logistic regression: small is strong regularisation
# Cross-validated on 3,068 photos of clothes: 768 principal components 81.8 %, 256 of them 80.1 %; half-whitened 81.8 %,
# not whitened 81.4 %, whitened 79.9 %.
COMPONENTS = 768
# The share of the labelled pictures that are familiar without reserve. With 0.975 the clothing head took a palace for
# a long sleeve and, in one way of eighteen, a cup of coffee with lettering for shoes.
FAMILIAR = 0.9
STEEP = 8
LEAST_SPREAD = np.float32(1e-3)  # a channel that hardly ever moves says nothing
_SEED = 20


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear classifier: class scores are `features @ weight + bias`, probabilities their softmax.

    weight (width, classes), bias (classes,)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyGate:
    """Measures how much an image is like those that had a label, and lowers its probabilities by that.

    m is the mean of ((features − mean) / spread)²; probabilities are multiplied by min(1, limit / m)^STEEP. A
    softmax has to choose, also where nothing it knows is there: without this half of 40 photos of people indoors
    were groceries. mean, spread (width,)."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    limit: float

    def factor(self, features: NDArray[np.float32]) -> Floats:
        """Returns the factor of each image (n,), 0 to 1."""
        strange = np.square((features - self.mean) / self.spread).mean(axis=1, dtype=np.float64)
        return np.asarray(np.minimum(1, self.limit / np.maximum(strange, 1e-6)) ** STEEP)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A calibrated classifier, with its held-out probabilities of each image."""

    model: Linear
    familiar: NoveltyGate
    held_out: Floats  # probabilities (n, classes), times how familiar the picture is
    strength: float
    temperature: float
    log_loss: float  # of held_out


class ValidationSet(NamedTuple):
    """Images for validation, none of which is learned from: features (n, width) and classes (n,).

    The class is −1 for images of none where the classifier has no such class."""

    features: NDArray[np.float32]
    classes: NDArray[np.intp]


class Augmented(NamedTuple):
    """Altered copies to learn from as well: features (m, width), and the place (m,) of each original among the images.

    A copy is learned from where its original is, and never judged."""

    features: NDArray[np.float32]
    of: NDArray[np.intp]


def fit(
    features: NDArray[np.float32],
    classes: Sequence[int],
    tick: Callable[[], object],
    none: int | None = None,
    copies: Augmented | None = None,
    proof: ValidationSet | None = None,
) -> Fitted:
    """Fits a classifier of pooled features (n, width) into classes 0 … k−1.

    Each class has at least FOLDS images (ValueError otherwise); `none` is the class of images without a label, where
    there is one; `copies` of images are learned from too. `tick` is called after each of the FOLDS × len(STRENGTHS)
    fits.

    C is the one with the least log loss, on the images of `proof` where there are some, else cross-validated.
    Classes are weighted by 1/√share: rare ones count for more than their number, without the flood of false alarms
    that full balance brings. The temperature (Guo et al., ICML 2017) makes the held-out probabilities as sure as
    they are right."""
    truth = np.asarray(classes, np.intp)
    if np.bincount(truth).min() < FOLDS:
        raise ValueError(f"every class needs at least {FOLDS} pictures")
    basis = _basis(features)
    points = basis.points(features)
    more, of = (points[:0], truth[:0]) if copies is None else (basis.points(copies.features), copies.of)
    held_out = np.zeros((len(STRENGTHS), len(truth), int(truth.max()) + 1))
    # Neighbours stay in one fold: photos that stand side by side are often shots of one thing, and a model that saw
    # one of them knows the others. (Shuffled, 43 kinds of groceries came out at 96 %, and at 66 % on other photos.)
    for seen, unseen in StratifiedKFold(FOLDS).split(points, truth):
        copied = np.isin(of, seen)
        known, theirs = np.concatenate([points[seen], more[copied]]), np.concatenate([truth[seen], truth[of[copied]]])
        for place, model in enumerate(_path(known, theirs, STRENGTHS)):
            held_out[place, unseen] = points[unseen] @ model.weight + model.bias
            tick()
    sharp = [_temperature(scores, truth) for scores in held_out]
    losses = [_log_loss(scores / heat, truth) for scores, heat in zip(held_out, sharp, strict=True)]
    models = list(_path(np.concatenate([points, more]), np.concatenate([truth, truth[of]]), STRENGTHS))
    best = int(np.argmin(losses if proof is None else [_least_loss(one, basis, proof) for one in models]))
    model, heat = models[best], sharp[best]
    weight = basis.turn @ model.weight / heat
    whole = Linear(weight.astype(np.float32), (model.bias / heat - basis.mean @ weight).astype(np.float32))
    familiar = _familiar(features[truth != none] if none is not None else features)
    unseen_scores = softmax(held_out[best] / heat, axis=1) * familiar.factor(features)[:, None]
    return Fitted(whole, familiar, unseen_scores, STRENGTHS[best], heat, losses[best])


def _least_loss(model: Linear, basis: _Basis, proof: ValidationSet) -> float:
    """Returns the log loss on those images at the temperature that suits them best."""
    known = proof.classes >= 0
    scores, truth = _scores(model, basis.points(proof.features[known])), proof.classes[known]
    return _log_loss(scores / _temperature(scores, truth), truth)


def calibrated_probabilities(fitted: Fitted, proof: ValidationSet) -> Fitted:
    """Returns the same classifier at the temperature that fits those images; `held_out`: its probabilities for them."""
    truth, known = proof.classes, proof.classes >= 0
    scores = _scores(fitted.model, proof.features[known])
    heat = _temperature(scores, truth[known])
    cooled = replace(
        fitted,
        model=Linear(fitted.model.weight / np.float32(heat), fitted.model.bias / np.float32(heat)),
        temperature=fitted.temperature * heat,
        log_loss=_log_loss(scores / heat, truth[known]),
    )
    return replace(cooled, held_out=probabilities(cooled, proof.features))


def probabilities(fitted: Fitted, features: NDArray[np.float32]) -> Floats:
    """Returns (n, classes) for pooled features (n, width), as the head's ONNX file gives them."""
    return np.asarray(softmax(_scores(fitted.model, features), axis=1) * fitted.familiar.factor(features)[:, None])


def _scores(model: Linear, features: NDArray[np.float32]) -> Floats:
    return np.asarray(features @ model.weight + model.bias, np.float64)


def _familiar(labelled: NDArray[np.float32]) -> NoveltyGate:
    mean, spread = labelled.mean(axis=0), labelled.std(axis=0) + LEAST_SPREAD
    strange = np.square((labelled - mean) / spread).mean(axis=1, dtype=np.float64)
    return NoveltyGate(mean, spread, float(np.quantile(strange, FAMILIAR)))


class _Basis(NamedTuple):
    """The space in which the regression works: `(features - mean) @ turn`. mean (width,), turn (width, components)."""

    mean: NDArray[np.float32]
    turn: NDArray[np.float32]

    def points(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((features - self.mean) @ self.turn, np.float32)


def _basis(features: NDArray[np.float32]) -> _Basis:
    """Returns the principal components of the standardised features, half-whitened.

    That lies between regularising all directions alike and regularising the strong ones least. It uses no label, and
    so is made once, for all folds."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + LEAST_SPREAD
    standard = (features - mean) / spread
    most = min(COMPONENTS, *standard.shape)
    _, lengths, axes = randomized_svd(standard, most, n_iter=2, random_state=_SEED)
    turn = axes.T / np.sqrt(lengths / np.sqrt(len(features)) + 1e-6) / spread[:, None]
    return _Basis(mean, turn.astype(np.float32))


def _path(points: NDArray[np.float32], truth: NDArray[np.intp], strengths: Sequence[float]) -> Iterator[Linear]:
    """Yields a model of points (n, components) for each strength, each beginning where the one before ended."""
    shares = np.bincount(truth) / len(truth)
    weights = dict(enumerate(1 / np.sqrt(shares * len(shares))))
    regression = LogisticRegression(warm_start=True, class_weight=weights, max_iter=500, tol=1e-3)
    for strength in strengths:
        regression.set_params(C=strength).fit(points, truth)
        weight, bias = regression.coef_, regression.intercept_
        if len(weight) == 1:  # scikit-learn gives two classes one score
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        yield Linear(weight.T.astype(np.float32), bias.astype(np.float32))


def _temperature(scores: Floats, truth: NDArray[np.intp]) -> float:
    """Returns the divisor of the scores at which their log loss is least."""
    found = minimize_scalar(lambda log: _log_loss(scores / np.exp(log), truth), bounds=(-3, 3), method="bounded")
    return float(np.exp(found.x))


def _log_loss(scores: Floats, truth: NDArray[np.intp]) -> float:
    return float(-log_softmax(scores, axis=1)[np.arange(len(truth)), truth].mean())
