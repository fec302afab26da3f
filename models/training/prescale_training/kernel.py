"""Support vector regression of quantiles: pinball loss and a penalty on the norm, in an RBF kernel's space.

(Vapnik 1995; for quantiles Takeuchi et al. 2006, "Nonparametric Quantile Estimation".) The machine has
few support vectors: they begin as the means that scikit-learn's k-means finds and are moved with the
coefficients (the reduced set of Burges 1996), as is the width of the kernel along each column. The kernel
is the product of an RBF kernel of what is seen and a linear one of (local unit, anchors): so each support
vector has a say in how far to lean and in how wide the quantiles lie. Solved by stochastic subgradients.
Quantiles that cross are sorted (Chernozhukov et al. 2010), which never makes them worse.
"""

from dataclasses import dataclass

import numpy as np

from . import layout, window_layout
from .recipe import Windowed
from .regressors import Regressors
from .samples import Samples
from .schema import QUANTILE_LEVELS

_KMEANS_ROWS = 20_000


@dataclass(frozen=True)
class KernelMachine:
    """`shift` and `stretch` [Z] bring what is seen to the kernel's units; `vectors` [M, Z] are the support vectors in them.

    The kernel is exp(-distance^2). `leans` [M + 1, heads * A] and `spreads`
    [M + 1, heads * levels] are the coefficients of the kernels and of a constant behind them.
    """

    window_bins: int
    shift: np.ndarray
    stretch: np.ndarray
    vectors: np.ndarray
    leans: np.ndarray
    spreads: np.ndarray

    family = "svr"

    def kernels(self, seen: np.ndarray) -> np.ndarray:
        """[N, M + 1]: the kernel with each support vector, and 1."""
        z = (seen - self.shift) * self.stretch
        apart = (z**2).sum(1, keepdims=True) + (self.vectors**2).sum(1) - 2.0 * z @ self.vectors.T
        near = np.exp(-np.maximum(apart, 0.0))
        return np.concatenate([near, np.ones((len(z), 1), dtype=near.dtype)], axis=1).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` makes it from again."""
        return dict(self.__dict__)

    @classmethod
    def from_arrays(cls, arrays: dict) -> "KernelMachine":
        """The machine that gave these `arrays`."""
        return cls(**arrays)

    def quantiles(self, given: Regressors) -> np.ndarray:
        """[N, heads, levels] in units of the scale."""
        k = self.kernels(given.seen)
        lean = (k @ self.leans).reshape(len(k), layout.HEADS, -1)
        spread = (k @ self.spreads).reshape(len(k), layout.HEADS, -1)
        middle = given.value[:, None] + (given.anchors * lean).sum(axis=2)
        return np.sort(middle[..., None] + given.local[:, None, None] * spread, axis=-1)


def fit_kernel_machine(samples: Samples, windowed: Windowed, seed: int, say=print) -> KernelMachine:
    """Chooses the support vectors, then the coefficients."""
    from sklearn.cluster import MiniBatchKMeans

    seen = samples.given.seen
    shift, spread = seen.mean(axis=0), seen.std(axis=0)
    stretch = np.where(spread > 1e-3, 1.0 / np.maximum(spread, 1e-3), 0.0).astype(np.float32)
    some = ((seen - shift) * stretch)[:_KMEANS_ROWS]
    means = MiniBatchKMeans(windowed.vectors, random_state=seed, n_init=1, batch_size=4096).fit(some)
    vectors = means.cluster_centers_.astype(np.float32)
    apart = ((some[:2000, None] - vectors[None, ::8]) ** 2).sum(axis=-1)
    narrow = np.float32(np.sqrt(windowed.narrowness / np.median(apart)))
    say(f"chose {len(vectors)} support vectors")
    return _moved(shift.astype(np.float32), stretch * narrow, vectors * narrow, samples, windowed, seed, say)


def _moved(shift, stretch, vectors, samples: Samples, windowed: Windowed, seed: int, say) -> KernelMachine:
    """The machine of all that is learned by subgradients: coefficients, support vectors, widths."""
    import torch

    given, rng = samples.given, np.random.default_rng([seed, 2])
    levels = torch.tensor(QUANTILE_LEVELS)
    leans = torch.zeros(len(vectors) + 1, layout.HEADS * len(window_layout.ANCHORS))
    spreads = torch.zeros(len(vectors) + 1, layout.HEADS * layout.LEVELS)
    spreads[-1] = torch.linspace(-1, 1, layout.LEVELS).repeat(layout.HEADS)
    learned = [leans, spreads, torch.from_numpy(vectors.copy()), torch.from_numpy(stretch.copy())]
    averages = [one.clone() for one in learned]
    for one in learned:
        one.requires_grad_()
    rates = np.array([1.0, 1.0, 0.2, 0.02]) * windowed.learning_rate
    optimiser = torch.optim.Adam([{"params": [one], "lr": rate} for one, rate in zip(learned, rates)])
    steps = windowed.epochs * (len(samples.weights) // windowed.batch)
    weights = (samples.weights / samples.weights.mean()).astype(np.float32)
    shown = 0.0
    for step in range(1, steps + 1):
        for group, rate in zip(optimiser.param_groups, rates):
            group["lr"] = rate * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / steps)))
        rows = rng.integers(len(weights), size=windowed.batch)
        q = _quantiles(learned, torch.from_numpy(given.seen[rows] - shift), given, rows)
        over = torch.from_numpy(samples.targets[rows]).unsqueeze(-1) - q
        losses = torch.maximum(levels * over, (levels - 1.0) * over).mean((1, 2)) * torch.from_numpy(weights[rows])
        loss = losses.mean()
        norm = (leans[:-1] ** 2).sum() + (spreads[:-1] ** 2).sum()
        optimiser.zero_grad()
        (loss + windowed.norm_penalty * norm).backward()
        optimiser.step()
        with torch.no_grad():
            for average, now in zip(averages, learned):
                average.lerp_(now, max(0.003, 1.0 / (step + 1)))
        shown += float(loss)
        if step % 500 == 0 or step == steps:
            say(f"step {step}/{steps}  loss {shown / (step % 500 or 500):.5f}")
            shown = 0.0
    leans, spreads, vectors, stretch = (one.numpy() for one in averages)
    return KernelMachine(windowed.window_bins, shift, stretch, vectors, leans, spreads)


def _quantiles(learned, seen, given: Regressors, rows: np.ndarray):
    """As `KernelMachine.quantiles` of the bins `rows`, unsorted, in PyTorch."""
    import torch

    leans, spreads, vectors, stretch = learned
    z = seen * stretch
    apart = (z**2).sum(1, keepdim=True) + (vectors**2).sum(1) - 2.0 * z @ vectors.T
    k = torch.exp(-apart.clamp(min=0.0))
    lean = (k @ leans[:-1] + leans[-1]).reshape(len(rows), layout.HEADS, -1)
    spread = (k @ spreads[:-1] + spreads[-1]).reshape(len(rows), layout.HEADS, -1)
    middle = (torch.from_numpy(given.anchors[rows]) * lean).sum(2) + torch.from_numpy(given.value[rows])[:, None]
    return middle.unsqueeze(-1) + torch.from_numpy(given.local[rows])[:, None, None] * spread
