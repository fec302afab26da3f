"""Trains a recurrent network by truncated backpropagation through time with carried state."""

import copy
import math
import time

import numpy as np
import torch

from .features import features
from .network import DemandNetwork
from .pool import Segments, Split
from .recipe import Recipe
from .schema import HOUR_BINS, QUANTILE_LEVELS
from .series import Series, capacities
from .targets import targets

_LEVELS = torch.tensor(QUANTILE_LEVELS)
_COLD_WEIGHT = 0.2


def pinball(q: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Pinball loss (Koenker and Bassett 1978) [...], mean over the levels in q's last axis; 0 where y is NaN."""
    known = ~torch.isnan(y)
    over = torch.where(known, y, torch.zeros_like(y)).unsqueeze(-1) - q
    return torch.maximum(_LEVELS * over, (_LEVELS - 1.0) * over).mean(-1) * known


class _Streams:
    """Segments side by side, each carried on chunk by chunk; a group of them is renewed at a time."""

    def __init__(self, segments: Segments, recipe: Recipe):
        t = recipe.training
        self._segments, self._t = segments, t
        self._group = t.batch // t.groups
        self._every = t.segment_chunks // t.groups
        drawn = [segments.draw(self._group) for _ in range(t.groups)]
        self._x, self._y, self._w = (list(part) for part in zip(*drawn))
        self._at = [g * self._every for g in range(t.groups)]
        self._fresh = [True] * t.groups

    def chunk(self):
        """(x, y, weight, fresh) of the next chunk; `fresh` [batch] says which begin with an empty state."""
        begin_end = [(a * self._t.chunk_bins, (a + 1) * self._t.chunk_bins) for a in self._at]
        x = np.concatenate([x[:, b:e] for x, (b, e) in zip(self._x, begin_end)])
        y = np.concatenate([y[:, b:e] for y, (b, e) in zip(self._y, begin_end)])
        weight = np.repeat(np.concatenate(self._w)[:, None], x.shape[1], axis=1)
        for g, a in enumerate(self._at):
            if a == 0:
                weight[g * self._group : (g + 1) * self._group, :HOUR_BINS] *= _COLD_WEIGHT
        fresh = np.repeat(self._fresh, self._group)
        for g in range(self._t.groups):
            self._at[g] += 1
            self._fresh[g] = self._at[g] == self._t.segment_chunks
            if self._fresh[g]:
                self._x[g], self._y[g], self._w[g] = self._segments.draw(self._group)
                self._at[g] = 0
        return x, y, weight, fresh


def score(network: DemandNetwork, series: list[Series]) -> float:
    """Mean pinball loss in units of scale over all series, each weighted alike."""
    total = 0.0
    with torch.no_grad():
        for one in series:
            x, scale = features(one.values[None], np.array([one.start_s]), capacities([one]))
            q, _ = network(torch.from_numpy(x), network.initial_state(1))
            y = torch.from_numpy((targets(one.values[None]) / scale[..., None, None]).astype(np.float32))
            losses = pinball(q, y)
            total += float(losses.sum() / (~torch.isnan(y)).sum())
    return total / max(1, len(series))


def train(recipe: Recipe, parts: Split, say=print) -> DemandNetwork:
    """Trains as the recipe says; gives the averaged network."""
    t = recipe.training
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(t.threads)
    say(f"training on {sum(len(s) for _, s in parts.train)} series, {len(parts.validation)} for validation")
    streams = _Streams(Segments(parts, t.segment_chunks * t.chunk_bins, recipe.seed), recipe)
    network = DemandNetwork(t.hidden, t.cell)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=t.learning_rate, weight_decay=t.weight_decay)
    state = network.initial_state(t.batch)
    begun, shown, shown_steps = time.monotonic(), 0.0, 0
    for step in range(1, t.steps + 1):
        _set_rate(optimiser, t.learning_rate, step, t.steps)
        x, y, weight, fresh = streams.chunk()
        state = state * torch.from_numpy(~fresh).unsqueeze(1)
        q, state = network(torch.from_numpy(x), state.detach())
        known = torch.from_numpy(~np.isnan(y))
        losses = pinball(q, torch.from_numpy(y)) * torch.from_numpy(weight)[:, :, None, None]
        loss = losses.sum() / known.sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), t.gradient_limit)
        optimiser.step()
        _move_average(average, network, min(t.average_keep, step / (step + 10)))
        shown, shown_steps = shown + float(loss), shown_steps + 1
        if step % t.validate_every == 0 or step == t.steps:
            held = score(average, parts.validation) if parts.validation else float("nan")
            minutes = (time.monotonic() - begun) / 60
            say(f"step {step}/{t.steps}  loss {shown / shown_steps:.5f}  validation {held:.5f}  {minutes:.1f} min")
            shown, shown_steps = 0.0, 0
    return average


def _set_rate(optimiser, peak: float, step: int, steps: int) -> None:
    """Linear warm-up over the first 2 %, then half a cosine down to 2 % of the peak."""
    warm = max(1, steps // 50)
    done = min(1.0, max(0.0, (step - warm) / max(1, steps - warm)))
    rate = peak * min(1.0, step / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
    for group in optimiser.param_groups:
        group["lr"] = rate


def _move_average(average: DemandNetwork, network: DemandNetwork, keep: float) -> None:
    with torch.no_grad():
        for a, p in zip(average.parameters(), network.parameters()):
            a.mul_(keep).add_(p, alpha=1 - keep)
