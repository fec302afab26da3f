"""The fixed numbers of the recurrent models: how its state is laid out and which constants its graph holds.

Network (PyTorch, for training) and graph (ONNX, for shipping) are both built from these arrays, so
that they cannot disagree about them.

The state of a workload is the cell's vector (an LSTM's two) followed by a *memory*: running statistics that no
training decides (moving averages of change and of the day-ago forecast's error, decaying maxima). A
memory slot moves as `m' = m + gate * rate * (value - m)`, or for a maximum `m' = max(value, keep * m)`.
"""

import numpy as np

from .schema import FEATURE_INDEX, FEATURES, HORIZONS_BINS, KINDS, MEDIAN, QUANTILE_LEVELS

HEADS = len(HORIZONS_BINS) * len(KINDS)
LEVELS = len(QUANTILE_LEVELS)
CARRIED_PER_HIDDEN = {"gru": 1, "lstm": 2}
STATE_LIMIT = 160
STEPS = LEVELS - 1

# Memory: two slots that hold the last day-ago forecast and whether there was one, then averages
# (value, half-life in bins), then decaying maxima.
AVERAGES = (
    ("change", 24),
    ("change", 288),
    ("change", 2016),
    ("seasonal_error", 288),
    ("seasonal_error", 2016),
    ("value", 24),
    ("value", 2016),
    ("one", 24),
    ("one", 288),
    ("one", 2016),
    ("seasonal_one", 288),
    ("seasonal_one", 2016),
)
MAXIMA = (("value", 288), ("value", 2016), ("change", 288))
MEMORY = 2 + len(AVERAGES) + len(MAXIMA)

AVERAGE_RATES = np.array([1 - 0.5 ** (1 / h) for _, h in AVERAGES], dtype=np.float32)
MAXIMUM_KEEPS = np.array([0.5 ** (1 / h) for _, h in MAXIMA], dtype=np.float32)
AVERAGE_IS_SEASONAL = np.array([v.startswith("seasonal") for v, _ in AVERAGES], dtype=np.float32)

# Which count slot corrects the start-up bias of each of the first seven averages.
COUNT_OF = np.array([7, 8, 9, 10, 11, 7, 9])
CORRECTED = len(COUNT_OF)

# What the median may lean on, per head, besides the last value.
ANCHORS = ("hour_mean", "day_mean", "hour_max", "day_ago", "slow_mean")
LOCAL_FLOOR = 0.002
LOG_FLOOR = 0.002
SQUASH = 4.0


def anchor_features(head: int) -> list[str]:
    """The feature behind each anchor of one head that comes from the features (all but slow_mean)."""
    horizon, kind = divmod(head, len(KINDS))
    if kind == 0 or horizon == 0:
        day_ago = ("day_ago_value_300s", "day_ago_value_900s", "day_ago_value_3600s")[horizon]
    else:
        day_ago = (None, "day_ago_max_900s", "day_ago_max_3600s")[horizon]
    return ["hour_mean", "day_mean", "hour_max", day_ago]


def anchor_matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, G, g): anchor minus last value is `(x @ C + slow_mean @ row) * (x @ G + g)` per [head, anchor].

    C takes the features to anchor minus last value; the gate `x @ G + g` is has_day for day-ago
    anchors and 1 for others. The slow mean's own part is added by `slow_mean_row`.
    """
    width = HEADS * len(ANCHORS)
    contrast = np.zeros((FEATURES, width), dtype=np.float32)
    gate = np.zeros((FEATURES, width), dtype=np.float32)
    offset = np.ones(width, dtype=np.float32)
    for head in range(HEADS):
        for j, name in enumerate([*anchor_features(head), None]):
            column = head * len(ANCHORS) + j
            contrast[FEATURE_INDEX["value"], column] = -1.0
            if name is not None:
                contrast[FEATURE_INDEX[name], column] = 1.0
            if name is not None and name.startswith("day_ago"):
                gate[FEATURE_INDEX["has_day"], column] = 1.0
                offset[column] = 0.0
    return contrast, gate, offset


def slow_mean_row() -> np.ndarray:
    """[1, heads * anchors]: where the slow mean enters the anchors."""
    row = np.zeros((1, HEADS * len(ANCHORS)), dtype=np.float32)
    row[0, len(ANCHORS) - 1 :: len(ANCHORS)] = 1.0
    return row


def anchor_sum() -> np.ndarray:
    """[heads * anchors, heads]: sums the anchors of each head."""
    return np.kron(np.eye(HEADS, dtype=np.float32), np.ones((len(ANCHORS), 1), dtype=np.float32))


def median_to_levels() -> np.ndarray:
    """[heads, heads * levels]: each head's median copied to its levels."""
    return np.kron(np.eye(HEADS, dtype=np.float32), np.ones((1, LEVELS), dtype=np.float32))


def increments_to_levels() -> np.ndarray:
    """[heads * steps, heads * levels]: the non-negative steps between levels, summed away from the median."""
    one = np.zeros((STEPS, LEVELS), dtype=np.float32)
    for step in range(STEPS):
        if step < MEDIAN:
            one[step, : step + 1] = -1.0
        else:
            one[step, step + 1 :] = 1.0
    return np.kron(np.eye(HEADS, dtype=np.float32), one)


# Differences of features whose size is told in units of the local scale. The second column says
# whether it is only told once a day was seen.
CONTRASTS = (
    ("value", "hour_mean"),
    ("hour_max", "value"),
    ("day_mean", "value"),
    ("change", None),
    ("day_ago_value_300s", "value"),
    ("day_ago_value_900s", "value"),
    ("day_ago_value_3600s", "value"),
    ("day_ago_value_900s", "day_ago_value_300s"),
    ("day_ago_value_3600s", "day_ago_value_300s"),
    ("day_ago_max_3600s", "value"),
)


def contrast_matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, G, g): the contrasts are `(x @ C) * (x @ G + g)`, not yet divided by the local scale."""
    contrast = np.zeros((FEATURES, len(CONTRASTS)), dtype=np.float32)
    gate = np.zeros((FEATURES, len(CONTRASTS)), dtype=np.float32)
    offset = np.ones(len(CONTRASTS), dtype=np.float32)
    for column, (plus, minus) in enumerate(CONTRASTS):
        contrast[FEATURE_INDEX[plus], column] = 1.0
        if minus is not None:
            contrast[FEATURE_INDEX[minus], column] = -1.0
        if plus.startswith("day_ago"):
            gate[FEATURE_INDEX["has_day"], column] = 1.0
            offset[column] = 0.0
    return contrast, gate, offset


# What the layers see: features squashed, contrasts squashed, memory's means and maxima squashed,
# logarithms of the spreads.
LOGS = 1 + CORRECTED - 2
INPUTS = FEATURES + len(CONTRASTS) + 2 + len(MAXIMA) + LOGS
