"""Numbers of leaves kept in a byte each, so that a forest of thousands of leaves stays below a megabyte."""

import numpy as np

LEAN_STEP = 1 / 64
FINE = 0.02
"""The spread, in local units, up to which the steps between codes are about even."""
_CODES = 127


def lean_codes(leans: np.ndarray) -> np.ndarray:
    """int8 codes in even steps of `LEAN_STEP`; what lies beyond ±1.98 is drawn in."""
    return np.clip(np.round(leans / LEAN_STEP), -_CODES, _CODES).astype(np.int8)


def spread_codes(spreads: np.ndarray, reach: float) -> np.ndarray:
    """int8 codes in steps that grow with the size, up to ±`reach`. Ascending numbers have ascending codes."""
    return np.clip(np.round(np.arcsinh(spreads / FINE) / spread_step(reach)), -_CODES, _CODES).astype(np.int8)


def spread_step(reach: float) -> float:
    """The step of the codes in arcsinh of the size in units of the finest."""
    return float(np.arcsinh(reach / FINE)) / _CODES


def spreads_of(codes: np.ndarray, reach: float) -> np.ndarray:
    """What the codes stand for."""
    return (FINE * np.sinh(codes.astype(np.float32) * np.float32(spread_step(reach)))).astype(np.float32)
