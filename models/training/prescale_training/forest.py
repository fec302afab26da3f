"""A quantile regression forest (Meinshausen 2006) whose leaves also lean (Friedberg et al. 2020, "Local
Linear Forests"): each leaf holds how far its bins lean towards the anchors, and the quantiles of what is
left, in local units. A forecast is the mean over the trees of both.

scikit-learn grows the trees. They are kept as complete trees of one depth, so that one matrix says
the paths of all of them: a node that is no split sends every bin to its left.
"""

from dataclasses import dataclass

import numpy as np

from . import layout, window_layout
from .leaning import lean_of
from .recipe import Windowed
from .regressors import Regressors
from .samples import Samples
from .schema import QUANTILE_LEVELS

_NEVER = np.float32(3.0e38)


@dataclass(frozen=True)
class Forest:
    """`columns` and `thresholds` [trees, 2^depth - 1] by node in breadth-first order: left where `seen <= threshold`.

    `leans` [trees, leaves, heads, A]; `spreads` [trees, leaves, heads, levels] ascending, in local units.
    """

    window_bins: int
    columns: np.ndarray
    thresholds: np.ndarray
    leans: np.ndarray
    spreads: np.ndarray

    family = "random-forest"

    def quantiles(self, given: Regressors) -> np.ndarray:
        """[N, heads, levels] in units of the scale."""
        leaves = leaves_of(self.columns, self.thresholds, given.seen)
        trees = np.arange(len(self.columns))
        lean, spread = self.leans[trees, leaves].mean(axis=1), self.spreads[trees, leaves].mean(axis=1)
        middle = given.value[:, None] + (given.anchors * lean).sum(axis=2)
        return middle[..., None] + given.local[:, None, None] * spread


def leaves_of(columns: np.ndarray, thresholds: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Which leaf [N, trees] each row of `seen` comes to in each tree."""
    trees, nodes = columns.shape
    at = np.zeros((len(seen), trees), dtype=np.int64)
    for _ in range(int(np.log2(nodes + 1))):
        column, threshold = columns[np.arange(trees), at], thresholds[np.arange(trees), at]
        at = 2 * at + 1 + (np.take_along_axis(seen, column, axis=1) > threshold)
    return at - nodes


def fit_forest(samples: Samples, windowed: Windowed, seed: int, say=print) -> Forest:
    """Grows the trees on what a global lean leaves over, then fits each leaf."""
    from sklearn.ensemble import RandomForestRegressor

    given = samples.given
    aims = samples.targets - given.value[:, None]
    everywhere = _leans(given.anchors, aims, samples.weights, np.zeros((layout.HEADS, len(window_layout.ANCHORS))), 1e-3)
    left = (aims - (given.anchors * everywhere).sum(axis=2)) / given.local[:, None]
    counts = samples.weights * given.local
    grown = RandomForestRegressor(
        n_estimators=windowed.trees,
        max_depth=windowed.depth,
        min_samples_leaf=windowed.leaf_rows_min,
        max_features=windowed.features_share,
        max_samples=windowed.rows_share,
        random_state=seed,
        n_jobs=1,
    ).fit(given.seen, _split_by(left), sample_weight=counts)
    say(f"grew {windowed.trees} trees")
    shapes = [_complete(tree.tree_, windowed.depth) for tree in grown.estimators_]
    columns, thresholds = (np.stack(part) for part in zip(*shapes))
    leaves = leaves_of(columns, thresholds, given.seen)
    count = 2**windowed.depth
    leans = np.tile(everywhere, (windowed.trees, count, 1, 1)).astype(np.float32)
    spreads = np.zeros((windowed.trees, count, layout.HEADS, layout.LEVELS), dtype=np.float32)
    for tree in range(windowed.trees):
        for leaf in np.unique(leaves[:, tree]):
            rows = np.flatnonzero(leaves[:, tree] == leaf)
            lean = _leans(given.anchors[rows], aims[rows], samples.weights[rows], everywhere, windowed.lean_ridge)
            missed = (aims[rows] - (given.anchors[rows] * lean).sum(axis=2)) / given.local[rows, None]
            leans[tree, leaf], spreads[tree, leaf] = lean, weighted_quantiles(missed, counts[rows])
    return Forest(windowed.window_bins, columns, thresholds, leans, spreads)


def _leans(anchors: np.ndarray, aims: np.ndarray, weights: np.ndarray, prior: np.ndarray, ridge: float) -> np.ndarray:
    return np.stack([lean_of(anchors[:, k], aims[:, k], weights, prior[k], ridge) for k in range(layout.HEADS)])


def _split_by(left: np.ndarray) -> np.ndarray:
    """What splits are to tell apart [N, 2 * heads]: where what is left lies and how large it is; tails drawn in."""
    drawn = np.arcsinh(left)
    return np.concatenate([drawn, np.abs(drawn)], axis=1)


def weighted_quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[heads, levels] of `values` [N, heads]: the least value up to which a level's share of the weight lies."""
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    shares = np.cumsum(weights[order], axis=0) / weights.sum()
    levels = np.array(QUANTILE_LEVELS)
    at = [np.minimum(np.searchsorted(shares[:, k], levels), len(values) - 1) for k in range(values.shape[1])]
    return np.stack([ordered[i, k] for k, i in enumerate(at)])


def _complete(tree, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """(columns, thresholds) of scikit-learn's tree as a complete tree of `depth`."""
    nodes = 2**depth - 1
    columns, thresholds = np.zeros(nodes, dtype=np.int64), np.full(nodes, _NEVER, dtype=np.float32)
    waiting = [(0, 0)]
    while waiting:
        theirs, ours = waiting.pop()
        if ours >= nodes or tree.children_left[theirs] < 0:
            continue
        columns[ours] = tree.feature[theirs]
        thresholds[ours] = _not_above(tree.threshold[theirs])
        waiting += [(tree.children_left[theirs], 2 * ours + 1), (tree.children_right[theirs], 2 * ours + 2)]
    return columns, thresholds


def _not_above(threshold: float) -> np.float32:
    """The greatest float32 that is not above it: float32 inputs fall to the same sides."""
    nearest = np.float32(threshold)
    return nearest if nearest <= threshold else np.nextafter(nearest, np.float32(-np.inf))
