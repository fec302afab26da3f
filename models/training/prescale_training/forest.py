"""A quantile regression forest (Meinshausen 2006) whose leaves also lean (Friedberg et al. 2020, "Local
Linear Forests"): each leaf holds how far its bins lean towards the anchors, and the quantiles of what is
left, in local units. A forecast is the mean over the trees of both. scikit-learn grows the trees.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from . import codes, layout, window_layout
from .leaning import lean_of
from .recipe import Windowed
from .regressors import Regressors
from .samples import Samples
from .schema import QUANTILE_LEVELS
from .trees import Trees, joined


@dataclass(frozen=True)
class Forest:
    """`leans` [leaves, heads, A] and `spreads` [leaves, heads, levels] in codes of a byte; spreads ascend.

    `reach`: the greatest spread that a code can say, in local units.
    """

    window_bins: int
    trees: Trees
    leans: np.ndarray
    spreads: np.ndarray
    reach: float

    family = "random-forest"

    def quantiles(self, given: Regressors) -> np.ndarray:
        """[N, heads, levels] in units of the scale."""
        leaves = self.trees.leaves_of(given.seen)
        lean = self.leans[leaves].mean(axis=1) * codes.LEAN_STEP
        spread = codes.spreads_of(self.spreads, self.reach)[leaves].mean(axis=1)
        middle = given.value[:, None] + (given.anchors * lean).sum(axis=2)
        return middle[..., None] + given.local[:, None, None] * spread

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` makes it from again."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "trees"}
        return own | {f"trees_{name}": value for name, value in dataclasses.asdict(self.trees).items()}

    @classmethod
    def from_arrays(cls, arrays: dict) -> "Forest":
        """The forest that gave these `arrays`."""
        trees = {name[6:]: arrays.pop(name) for name in list(arrays) if name.startswith("trees_")}
        return cls(trees=Trees(**trees), **arrays)


def fit_forest(samples: Samples, windowed: Windowed, seed: int, say=print) -> Forest:
    """Grows the trees on what a global lean leaves over, then fits each leaf."""
    from sklearn.ensemble import RandomForestRegressor

    given = samples.given
    aims = samples.targets - given.value[:, None]
    nowhere = np.zeros((layout.HEADS, len(window_layout.ANCHORS)))
    everywhere = _leans(given.anchors, aims, samples.weights, nowhere, 1e-3)
    left = (aims - (given.anchors * everywhere).sum(axis=2)) / given.local[:, None]
    counts = samples.weights * given.local
    grown = RandomForestRegressor(
        n_estimators=windowed.trees,
        max_leaf_nodes=windowed.leaves,
        max_depth=windowed.depth,
        min_samples_leaf=windowed.leaf_rows_min,
        max_features=windowed.features_share,
        max_samples=windowed.rows_share,
        random_state=seed,
        n_jobs=1,
    ).fit(given.seen, _split_by(left), sample_weight=counts)
    trees = joined([tree.tree_ for tree in grown.estimators_])
    say(f"grew {windowed.trees} trees with {trees.leaves} leaves")
    leans = np.zeros((trees.leaves, layout.HEADS, len(window_layout.ANCHORS)))
    spreads = np.zeros((trees.leaves, layout.HEADS, layout.LEVELS))
    for leaf, rows in _rows_by_leaf(trees.leaves_of(given.seen)):
        lean = _leans(given.anchors[rows], aims[rows], samples.weights[rows], everywhere, windowed.lean_ridge)
        leans[leaf] = codes.lean_codes(lean) * codes.LEAN_STEP
        missed = (aims[rows] - (given.anchors[rows] * leans[leaf]).sum(axis=2)) / given.local[rows, None]
        spreads[leaf] = weighted_quantiles(missed, counts[rows])
    reach = float(np.quantile(np.abs(spreads), 0.9995))
    return Forest(windowed.window_bins, trees, codes.lean_codes(leans), codes.spread_codes(spreads, reach), reach)


def _rows_by_leaf(leaves: np.ndarray):
    """(leaf, rows that come to it) of each leaf of each tree; `leaves` [N, trees]."""
    for of_tree in leaves.T:
        order = np.argsort(of_tree, kind="stable")
        names, begins = np.unique(of_tree[order], return_index=True)
        yield from zip(names, np.split(order, begins[1:]))


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
