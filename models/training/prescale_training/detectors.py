"""Detectors of anomalies that others are measured by: each sees a whole series at once, and no label.

A detector takes values, bins × KPIs without NaN, and gives a score for each bin: the greater the more unusual. Settings are
those that TSB-AD (Liu and Paparrizos 2024) found best over its own sets, or the methods' usual ones.
"""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

WINDOW = 100
"""Bins of a window of several KPIs, and of one that repeats in none."""

_FITTED_WINDOWS = 2000
"""The components are those of so many windows, evenly picked: more change the fourth digit."""

_COMPONENTS = 32
_EXPLAINED_FIRST, _EXPLAINED_MOST = 0.25, 0.9
_POLYNOMIAL_DEGREE, _BLOCKS_AROUND = 4, 2


def period(values: np.ndarray) -> int:
    """After so many bins one KPI repeats the most, as TSB-AD finds it: the highest peak of the autocorrelation."""
    centred = values[:20_000] - values[:20_000].mean()
    size = 2 * len(centred)
    spectrum = np.fft.rfft(centred, size)
    lags = np.fft.irfft(spectrum * np.conj(spectrum), size)[: min(401, len(centred))]
    correlation = lags[3:] / lags[0] if lags[0] > 0 else np.zeros(max(len(lags) - 3, 0))
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner > correlation[2:]))
    best = peaks[np.argmax(correlation[peaks])] if len(peaks) else 0
    return int(best) + 3 if 3 <= best <= 300 else 125


def sliding_pca(values: np.ndarray) -> np.ndarray:
    """Distances of windows to the first components, each by its share of the variance, as PyOD and TSB-AD sum them."""
    windows, fitted = _windows(values)
    shares = fitted.explained_variance_ratio_
    count = int(np.searchsorted(np.cumsum(shares), _EXPLAINED_FIRST)) + 1
    return _centred((cdist(windows, fitted.components_[:count]) / shares[:count]).sum(axis=1), len(values))


def sliding_pca_residual(values: np.ndarray) -> np.ndarray:
    """What the components that explain nine tenths leave of a window, squared (Shyu and others 2003)."""
    windows, fitted = _windows(values)
    count = int(np.searchsorted(np.cumsum(fitted.explained_variance_ratio_), _EXPLAINED_MOST)) + 1
    along = windows @ fitted.components_[:count].T
    return _centred((windows**2).sum(axis=1) - (along**2).sum(axis=1), len(values))


def polynomial(values: np.ndarray) -> np.ndarray:
    """How far a block is from the polynomial through what is on both sides of it (POLY, Li and others 2007), in each KPI's
    standard deviations; the mean of all KPIs, over a block's length."""
    bins = len(values)
    block = min(period(values[:, 0]) if values.shape[1] == 1 else WINDOW, max(bins // 8, 4))
    scaled = _standardised(values)
    off = np.zeros(bins)
    for begin in range(0, bins, block):
        inside = np.arange(begin, min(begin + block, bins))
        reach = np.arange(max(begin - _BLOCKS_AROUND * block, 0), min(begin + (1 + _BLOCKS_AROUND) * block, bins))
        around = np.setdiff1d(reach, inside)
        place = (around - begin) / block
        fit = np.polynomial.polynomial.polyfit(place, scaled[around], _POLYNOMIAL_DEGREE)
        expected = np.polynomial.polynomial.polyval((inside - begin) / block, fit).T
        off[inside] = np.abs(scaled[inside] - expected).mean(axis=1)
    return np.convolve(off, np.ones(block) / block, "same")


def isolation_forest(values: np.ndarray) -> np.ndarray:
    """Isolation Forest (Liu and others 2008) of single bins."""
    return -IsolationForest(n_estimators=200, random_state=0).fit(values).score_samples(values)


def robust_z(values: np.ndarray) -> np.ndarray:
    """The greatest distance of a KPI from its median, in median absolute deviations."""
    off = np.abs(values - np.median(values, axis=0))
    spread, std = 1.4826 * np.median(off, axis=0), values.std(axis=0)
    spread = np.where(spread > 0, spread, np.where(std > 0, std, 1.0))
    return (off / spread).max(axis=1)


DETECTORS = {
    "sliding PCA": sliding_pca,
    "sliding PCA, residual": sliding_pca_residual,
    "POLY": polynomial,
    "Isolation Forest": isolation_forest,
    "robust z-score": robust_z,
}


def _standardised(values: np.ndarray) -> np.ndarray:
    std = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(std > 0, std, 1.0)


def _windows(values: np.ndarray) -> tuple[np.ndarray, PCA]:
    bins, kpis = values.shape
    length = min(period(values[:, 0]) if kpis == 1 else WINDOW, max(bins // 4, 1))
    windows = np.lib.stride_tricks.sliding_window_view(values, length, axis=0).reshape(bins - length + 1, -1)
    windows = _standardised(windows)
    picked = windows[np.linspace(0, len(windows) - 1, min(_FITTED_WINDOWS, len(windows))).astype(int)]
    count = min(_COMPONENTS, *picked.shape)
    return windows, PCA(count, svd_solver="randomized", random_state=0).fit(picked)


def _centred(scores: np.ndarray, bins: int) -> np.ndarray:
    """A window's score in its middle."""
    missing = bins - len(scores)
    return np.pad(scores, (missing - missing // 2, missing // 2), mode="edge")
