"""Golden vectors: what the shipped graph and the features give, for readers in any language to test against."""

import json
from pathlib import Path

import numpy as np
import onnxruntime

from .features import features
from .generated import generated_fleet
from .reference import reference_features
from .schema import DAY_BINS, FEATURE_INDEX, FEATURES, GRID_STEP_S
from .series import capacities
from .windows import windows_at

_ROWS = 3
_STEPS = 6
_SEED = 77
_TOLERANCE = 1e-4

# What `features_golden` gives, which is the same for every model.
FEATURES_GOLDEN = Path(__file__).with_name("features_golden.json")


def session_of(model: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """An onnxruntime session on CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def model_golden(session: onnxruntime.InferenceSession) -> dict:
    """Steps of three rows: generated demand, then random and unlikely inputs.

    They stay small, so that float32 rounding in another runtime stays far below the tolerance.
    """
    windowed = session.get_inputs()[0].name == "w"
    return _windowed_golden(session) if windowed else _stateful_golden(session)


_BINS = (0, 1, DAY_BINS, DAY_BINS + 1)


def _demand() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, features, scales) of a small generated fleet."""
    fleet = generated_fleet(_ROWS, DAY_BINS + _STEPS, _SEED)
    values = np.stack([s.values for s in fleet])
    return values, *features(values, np.array([s.start_s for s in fleet]), capacities(fleet))


def _wild_features(rng: np.random.Generator) -> list[np.ndarray]:
    """Two steps of features that no demand has."""
    wild = [rng.normal(0, 1, (_ROWS, FEATURES)).astype(np.float32)]
    wild.append(np.stack([np.full(FEATURES, v, dtype=np.float32) for v in (3.0, -3.0, 0.0)]))
    for x in wild:
        x[:, [FEATURE_INDEX["missing"], FEATURE_INDEX["has_day"]]] = [[0, 1], [1, 0], [1, 1]]
    return wild


def _stateful_golden(session: onnxruntime.InferenceSession) -> dict:
    state_size = session.get_inputs()[1].shape[1]
    _, x, _ = _demand()
    inputs = [x[:, t] for t in _BINS] + _wild_features(np.random.default_rng(_SEED))
    h = np.zeros((_ROWS, state_size), dtype=np.float32)
    steps = []
    for row in inputs:
        q, h_out = session.run(["q", "h_out"], {"x": row, "h": h})
        steps.append({"x": row.tolist(), "q": q.tolist(), "h_out": h_out.tolist()})
        h = h_out
    return {
        "about": "h of the first step is zeros, h of each later step is h_out of the one before",
        "rows": _ROWS,
        "state_size": state_size,
        "tolerance": _TOLERANCE,
        "steps": steps,
    }


def _windowed_golden(session: onnxruntime.InferenceSession) -> dict:
    width = session.get_inputs()[0].shape[1]
    rng = np.random.default_rng(_SEED)
    values, x, scale = _demand()
    rows = np.arange(_ROWS)
    inputs = [(windows_at(values, scale, rows, np.full(_ROWS, t), width), x[:, t]) for t in _BINS]
    inputs += [(rng.normal(0, 1, (_ROWS, width)).astype(np.float32), wild) for wild in _wild_features(rng)]
    steps = []
    for w, row in inputs:
        (q,) = session.run(["q"], {"w": w, "x": row})
        steps.append({"w": w.tolist(), "x": row.tolist(), "q": q.tolist()})
    return {
        "about": "each step stands alone",
        "rows": _ROWS,
        "window_bins": width,
        "tolerance": _TOLERANCE,
        "steps": steps,
    }


def features_golden() -> dict:
    """Series with missing bins, and their features from the straightforward implementation."""
    rng = np.random.default_rng(_SEED)
    # Monday 2024-01-01 00:00 UTC is 1704067200.
    cases = [
        _case("day of season with gaps, capacity known", _seasonal(340, rng), 1_704_067_200 + 5 * 86_400 + 81_300, 8.0),
        _case("idle below the floor of the capacity", _idle(300, rng), 1_704_067_200 + 43_200, 4.0),
        _case("capacity unknown, a launch of 40 times the size", _launch(60, rng), 1_704_067_200 - 600, None),
        _case("all zeros, capacity unknown", [0.0] * 14, 0, None),
    ]
    return {
        "about": "values: mean demand per 300 s bin, null where missing; features[t] are the 18 of FEATURES.md",
        "grid_step_s": GRID_STEP_S,
        "tolerance": 1e-5,
        "cases": cases,
    }


def _case(about: str, values, start_s: int, capacity: float | None) -> dict:
    rows, scale = reference_features(values, start_s, capacity)
    return {
        "about": about,
        "start_s": start_s,
        "capacity": capacity,
        "values": [None if np.isnan(v) else float(v) for v in values],
        "scale": [float(f"{s:.12g}") for s in scale],
        "features": [[float(f"{v:.9g}") for v in row] for row in rows],
    }


def _seasonal(bins: int, rng) -> np.ndarray:
    values = 2 + np.sin(2 * np.pi * np.arange(bins) / DAY_BINS) + 0.1 * rng.standard_normal(bins)
    values = np.round(values, 4)
    values[[3, 4, 5, 100, 286, 287, 288, 300]] = np.nan
    values[150:175] = np.nan
    values[320] = 30.0
    return values


def _idle(bins: int, rng) -> np.ndarray:
    return np.round(0.002 * rng.random(bins), 6)


def _launch(bins: int, rng) -> np.ndarray:
    values = np.round(1 + 0.2 * rng.standard_normal(bins), 4)
    values[30:] = np.round(values[30:] * 40, 4)
    values[45] = np.nan
    return values


def write_json(path: Path, value: dict) -> None:
    """Writes `value` with floats of float32's precision kept and without needless white space."""
    path.write_text(json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n")


if __name__ == "__main__":
    write_json(FEATURES_GOLDEN, features_golden())
