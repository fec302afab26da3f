"""The recurrent network in PyTorch, for training.

One step takes the features of a bin and the state and gives quantiles and the next state; `forward`
runs many steps. What is learned: an input layer, a cell, which is a GRU (Cho et al. 2014, "Learning
Phrase Representations using RNN Encoder-Decoder") or an LSTM with forget gate (Hochreiter and
Schmidhuber 1997, "Long Short-Term Memory"; Gers et al. 2000), and a head that says how far to lean from the last value
towards other anchors (the hour's mean, the value a day ago, ...) and how wide the quantiles lie.
"""

import torch
from torch import nn

from . import layout
from .schema import FEATURE_INDEX, HORIZONS_BINS, KINDS

_VALUE, _MISSING, _CHANGE = FEATURE_INDEX["value"], FEATURE_INDEX["missing"], FEATURE_INDEX["change"]
_DAY_AGO, _HAS_DAY = FEATURE_INDEX["day_ago_value_300s"], FEATURE_INDEX["has_day"]


class DemandNetwork(nn.Module):
    """`forward(x [N, T, 18], state [N, S]) -> (q [N, T, 3, 2, 8], state [N, S])`.

    The state is the hidden vector [H], an LSTM's cell vector [H] behind it, and the memory.
    """

    def __init__(self, hidden: int = 64, cell: str = "gru"):
        super().__init__()
        self.hidden, self.cell = hidden, cell
        self.carried = layout.CARRIED_PER_HIDDEN[cell] * hidden
        self.state_size = self.carried + layout.MEMORY
        self.input = nn.Linear(layout.INPUTS, hidden)
        if cell == "lstm":
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        else:
            self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.mix = nn.Linear(2 * hidden, hidden)
        width = layout.HEADS * len(layout.ANCHORS)
        self.lean = nn.Linear(hidden, width)
        self.shift = nn.Linear(hidden, layout.HEADS)
        self.local_steps = nn.Linear(hidden, layout.HEADS * layout.STEPS)
        self.global_steps = nn.Linear(hidden, layout.HEADS * layout.STEPS)
        with torch.no_grad():
            for layer, bias in ((self.lean, -2.5), (self.shift, 0.0), (self.local_steps, -0.5), (self.global_steps, -6.0)):
                layer.weight.mul_(0.3)
                layer.bias.fill_(bias)
        for name, array in _constants().items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def initial_state(self, rows: int) -> torch.Tensor:
        """The state before a series' first bin: zeros."""
        return torch.zeros(rows, self.state_size)

    def forward(self, x: torch.Tensor, state: torch.Tensor):
        with torch.no_grad():
            memory, last_memory = self._memory(x, state[:, self.carried :])
            seen, local, slow_mean = self._seen(x, memory)
        u = self.input(seen)
        u = u * torch.sigmoid(u)
        h, carried = self._recur(u, state[:, : self.carried])
        z = self.mix(torch.cat([h, u], dim=-1))
        z = z * torch.sigmoid(z)
        leaning = (x @ self.anchor_contrast + slow_mean @ self.slow_mean_row) * (
            x @ self.anchor_gate + self.anchor_offset
        )
        median = x[..., _VALUE : _VALUE + 1] + (torch.sigmoid(self.lean(z)) * leaning) @ self.anchor_sum
        median = median + local * self.shift(z)
        steps = local * nn.functional.softplus(self.local_steps(z)) + nn.functional.softplus(self.global_steps(z))
        q = median @ self.median_to_levels + steps @ self.increments_to_levels
        q = q.reshape(*x.shape[:2], len(HORIZONS_BINS), len(KINDS), layout.LEVELS)
        return q, torch.cat([carried, last_memory], dim=-1)

    def _recur(self, u: torch.Tensor, carried: torch.Tensor):
        """(hidden vector after each bin [N, T, H], what is carried after the last [N, carried])."""
        if self.cell == "gru":
            h, last = self.gru(u, carried.unsqueeze(0).contiguous())
            return h, last.squeeze(0)
        begin = tuple(part.unsqueeze(0).contiguous() for part in carried.split(self.hidden, dim=1))
        h, last = self.lstm(u, begin)
        return h, torch.cat([part.squeeze(0) for part in last], dim=-1)

    def _memory(self, x: torch.Tensor, memory: torch.Tensor):
        """Memory after each bin [N, T, MEMORY], and after the last."""
        steps = []
        averages = 2 + len(layout.AVERAGES)
        value, change = x[..., _VALUE], x[..., _CHANGE].abs()
        present = 1.0 - x[..., _MISSING]
        one = torch.ones_like(value[:, 0])
        for t in range(x.shape[1]):
            error = (value[:, t] - memory[:, 0]).abs()
            named = {
                "change": change[:, t],
                "seasonal_error": error,
                "value": value[:, t],
                "one": one,
                "seasonal_one": one,
            }
            target = torch.stack([named[v] for v, _ in layout.AVERAGES], dim=-1)
            seasonal = 1.0 - self.average_is_seasonal * (1.0 - memory[:, 1:2])
            gate = present[:, t : t + 1] * seasonal
            average = memory[:, 2:averages]
            average = average + gate * self.average_rates * (target - average)
            peak = torch.stack([named[v] for v, _ in layout.MAXIMA], dim=-1)
            maxima = torch.maximum(peak, memory[:, averages:] * self.maximum_keeps)
            memory = torch.cat([x[:, t, _DAY_AGO : _DAY_AGO + 1], x[:, t, _HAS_DAY : _HAS_DAY + 1], average, maxima], -1)
            steps.append(memory)
        return torch.stack(steps, dim=1), memory

    def _seen(self, x: torch.Tensor, memory: torch.Tensor):
        """(what the layers see, local scale [.., 1], slow mean [.., 1])."""
        averages = memory[..., 2 : 2 + len(layout.AVERAGES)]
        maxima = memory[..., 2 + len(layout.AVERAGES) :]
        corrected = (averages @ self.corrected_pick) / torch.clamp(averages @ self.count_pick, min=1e-6)
        local = (x @ self.std_pick + corrected @ self.change_pick).abs() + layout.LOCAL_FLOOR
        contrasts = (x @ self.contrast) * (x @ self.contrast_gate + self.contrast_offset) / local
        means = corrected @ self.means_pick
        spreads = torch.cat([local, corrected @ self.spreads_pick], dim=-1)
        logs = torch.log(spreads.abs() + layout.LOG_FLOOR) * 0.3
        raw = torch.cat([x, contrasts, means, maxima], dim=-1)
        seen = torch.cat([raw / (1.0 + raw.abs() / layout.SQUASH), logs], dim=-1)
        return seen, local, means[..., 1:2]


def _constants():
    return dict(zip(CONSTANT_NAMES, _constant_arrays()))


CONSTANT_NAMES = (
    "average_rates",
    "maximum_keeps",
    "average_is_seasonal",
    "anchor_contrast",
    "anchor_gate",
    "anchor_offset",
    "slow_mean_row",
    "anchor_sum",
    "median_to_levels",
    "increments_to_levels",
    "contrast",
    "contrast_gate",
    "contrast_offset",
    "corrected_pick",
    "count_pick",
    "std_pick",
    "change_pick",
    "means_pick",
    "spreads_pick",
)


def _constant_arrays():
    import numpy as np

    yield from (layout.AVERAGE_RATES, layout.MAXIMUM_KEEPS, layout.AVERAGE_IS_SEASONAL)
    yield from layout.anchor_matrices()
    yield layout.slow_mean_row()
    yield layout.anchor_sum()
    yield layout.median_to_levels()
    yield layout.increments_to_levels()
    yield from layout.contrast_matrices()

    def picks(rows: int, pairs: list[tuple[int, int, float]], columns: int):
        out = np.zeros((rows, columns), dtype=np.float32)
        for row, column, weight in pairs:
            out[row, column] = weight
        return out

    averages, corrected = len(layout.AVERAGES), layout.CORRECTED
    yield picks(averages, [(i, i, 1.0) for i in range(corrected)], corrected)
    yield picks(averages, [(int(c), i, 1.0) for i, c in enumerate(layout.COUNT_OF)], corrected)
    yield picks(x_rows(), [(FEATURE_INDEX["hour_std"], 0, 0.5)], 1)
    yield picks(corrected, [(0, 0, 0.5)], 1)
    yield picks(corrected, [(5, 0, 1.0), (6, 1, 1.0)], 2)
    yield picks(corrected, [(i, i, 1.0) for i in range(corrected - 2)], corrected - 2)


def x_rows() -> int:
    """How many features a bin has."""
    return len(FEATURE_INDEX)
