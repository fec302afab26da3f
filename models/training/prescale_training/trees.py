"""Trees as tables: all trees of a forest in one list of nodes, leaves first."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trees:
    """Node n sends a bin to `right[n]` where `seen[columns[n]] > thresholds[n]`, else to `left[n]`.

    Nodes 0 .. `leaves` - 1 are the leaves of all trees; they send every bin to themselves. `roots`
    [trees]. After `depth` steps every bin is at a leaf.
    """

    leaves: int
    depth: int
    roots: np.ndarray
    columns: np.ndarray
    thresholds: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def leaves_of(self, seen: np.ndarray) -> np.ndarray:
        """Which leaf [N, trees] each row of `seen` [N, Z] comes to in each tree."""
        at = np.broadcast_to(self.roots, (len(seen), len(self.roots)))
        for _ in range(self.depth):
            goes_right = np.take_along_axis(seen, self.columns[at], axis=1) > self.thresholds[at]
            at = np.where(goes_right, self.right[at], self.left[at])
        return at


def joined(trees: list) -> Trees:
    """scikit-learn's trees in one table."""
    is_leaf = [tree.children_left < 0 for tree in trees]
    leaves = sum(int(leaf.sum()) for leaf in is_leaf)
    next_leaf, next_split = 0, leaves
    parts, roots = [], []
    for tree, leaf in zip(trees, is_leaf):
        names = np.empty(tree.node_count, dtype=np.int64)
        names[leaf] = next_leaf + np.arange(leaf.sum())
        names[~leaf] = next_split + np.arange((~leaf).sum())
        next_leaf, next_split = next_leaf + int(leaf.sum()), next_split + int((~leaf).sum())
        roots.append(names[0])
        left = np.where(leaf, names, names[tree.children_left])
        right = np.where(leaf, names, names[tree.children_right])
        thresholds = np.where(leaf, np.float32(0), not_above(tree.threshold))
        parts.append((names, np.where(leaf, 0, tree.feature), thresholds, left, right))
    names, columns, thresholds, left, right = (np.concatenate(part) for part in zip(*parts))
    order = np.argsort(names)
    depth = max(tree.max_depth for tree in trees)
    kept = (columns[order], thresholds[order].astype(np.float32), left[order], right[order])
    return Trees(leaves, depth, np.array(roots), *kept)


def not_above(thresholds: np.ndarray) -> np.ndarray:
    """The greatest float32 that are not above them: float32 inputs fall to the same sides."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest <= thresholds, nearest, np.nextafter(nearest, np.float32(-np.inf)))
