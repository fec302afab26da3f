"""Runs a model file over whole series, whichever kind it is, as the pipeline would bin by bin."""

from pathlib import Path

import numpy as np

from .features import features
from .goldens import session_of
from .schema import HORIZONS_S, KINDS, QUANTILE_LEVELS
from .windows import windows_at

_ROWS_AT_ONCE = 4096


def model_quantiles(model: Path, values: np.ndarray, start_s: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """The quantiles of demand [series, time, horizon, kind, level] of the model folder `model`.

    `values` [series, time] NaN where missing, `start_s` [series], `capacity` [series] NaN where unknown.
    """
    session = session_of(model / "model.onnx")
    x, scale = features(values, start_s, capacity)
    out = np.empty((*values.shape, len(HORIZONS_S), len(KINDS), len(QUANTILE_LEVELS)), dtype=np.float32)
    if session.get_inputs()[0].name == "w":
        _windowed(session, values, x, scale, out)
    else:
        _stateful(session, x, out)
    return out * scale[..., None, None, None].astype(np.float32)


def _stateful(session, x: np.ndarray, out: np.ndarray) -> None:
    h = np.zeros((len(x), session.get_inputs()[1].shape[1]), dtype=np.float32)
    for t in range(x.shape[1]):
        out[:, t], h = session.run(["q", "h_out"], {"x": np.ascontiguousarray(x[:, t]), "h": h})


def _windowed(session, values: np.ndarray, x: np.ndarray, scale: np.ndarray, out: np.ndarray) -> None:
    width = session.get_inputs()[0].shape[1]
    bins = values.shape[1]
    for begin in range(0, values.size, _ROWS_AT_ONCE):
        i, t = np.divmod(np.arange(begin, min(begin + _ROWS_AT_ONCE, values.size)), bins)
        out[i, t] = session.run(["q"], {"w": windows_at(values, scale, i, t, width), "x": x[i, t]})[0]
