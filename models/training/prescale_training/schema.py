"""What every model of the kit takes and gives: grid, horizons, quantile levels, feature names."""

import hashlib

GRID_STEP_S = 300
DAY_BINS = 288
HOUR_BINS = 12
WEEK_BINS = 2016

HORIZONS_S = (300, 900, 3600)
HORIZONS_BINS = tuple(h // GRID_STEP_S for h in HORIZONS_S)
KINDS = ("value", "maximum")
QUANTILE_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
MEDIAN = QUANTILE_LEVELS.index(0.5)

FEATURE_LIMIT = 20.0
SCALE_HALF_LIFE_BINS = 288

FEATURE_NAMES = (
    "value",
    "missing",
    "change",
    "hour_mean",
    "hour_std",
    "hour_max",
    "day_ago_value_300s",
    "day_ago_value_900s",
    "day_ago_value_3600s",
    "day_ago_max_900s",
    "day_ago_max_3600s",
    "day_mean",
    "has_day",
    "age",
    "time_of_day_sin",
    "time_of_day_cos",
    "time_of_week_sin",
    "time_of_week_cos",
)
FEATURES = len(FEATURE_NAMES)
FEATURE_INDEX = {name: i for i, name in enumerate(FEATURE_NAMES)}

SCHEMA_TEXT = "prescale demand features 1\n" + "".join(f"{i} {n}\n" for i, n in enumerate(FEATURE_NAMES))


def feature_schema_hash() -> str:
    """SHA-256 of `SCHEMA_TEXT`, in lower-case hex: the id that manifest and reader compare."""
    return hashlib.sha256(SCHEMA_TEXT.encode()).hexdigest()
