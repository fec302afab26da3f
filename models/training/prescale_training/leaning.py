"""Least absolute deviations by reweighted least squares (Schlossmacher 1973): how far to lean towards anchors."""

import numpy as np

_ROUNDS = 8
_TINY = 1e-3


def lean_of(anchors: np.ndarray, aim: np.ndarray, weights: np.ndarray, prior: np.ndarray, ridge: float) -> np.ndarray:
    """b [A] that makes sum of weights * |aim - anchors @ b| small, drawn towards `prior` [A].

    `anchors` [N, A] and `aim` [N] in units of the scale, `weights` [N]; `ridge` says how many rows of
    anchors of size 1 the prior counts for.
    """
    b = prior.astype(np.float64)
    for _ in range(_ROUNDS):
        missed = aim - anchors @ b
        each = weights / np.maximum(np.abs(missed), _TINY)
        weighted = anchors * each[:, None]
        square = anchors.T @ weighted
        penalty = ridge * np.eye(len(b)) * float(each.mean())
        b = prior + np.linalg.solve(square + penalty, weighted.T @ (aim - anchors @ prior))
    return b
