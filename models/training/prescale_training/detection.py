"""Prescale's scores of anomalies against other detectors', on the same bins of labelled traces, by VUS-PR.

Labels are used for nothing but the figures. Prescale's scores are what `prescale anomalies` says: each is of what came before
it. The others see the whole series.
"""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from .columns import by_entity, instants_s, numbers, read_table
from .detectors import DETECTORS, period
from .series import GRID_STEP_S
from .vus import vus_pr

OURS, OURS_P = "Prescale", "Prescale, p-value"

_EPOCH_S = 1_577_836_800
"""Where sets tell no date, their time begins here; a midnight."""

_LEARNT_SHARE = 0.25
"""Of a series without a part to learn from, so much is not scored."""


class DetectionError(Exception):
    """What the scores need is not there; says what to do."""


@dataclass(frozen=True)
class Labelled:
    """A workload's rows: instants in seconds, values by KPI (rows × KPIs), labels, and which rows are scored."""

    name: str
    at_s: np.ndarray
    values: np.ndarray
    label: np.ndarray
    scored: np.ndarray

    @property
    def step_s(self) -> int:
        """Seconds between rows."""
        return max(int(np.median(np.diff(self.at_s))), 1)


@dataclass(frozen=True)
class Binned:
    """The same by bins: starts in seconds, means without NaN, labels, and which are scored."""

    bin_s: int
    at_s: np.ndarray
    values: np.ndarray
    label: np.ndarray
    scored: np.ndarray


def _split_set(path: Path, entity: str) -> list[Labelled]:
    table = read_table(path)
    kpis = [name for name in table.column_names if name not in (entity, "t", "split", "label")]
    at_s, label = instants_s(table.column("t")) + _EPOCH_S, numbers(table.column("label"))
    values = np.stack([numbers(table.column(name)) for name in kpis], axis=1)
    scored = numbers(table.column("split")) == 1
    out = []
    for name, rows in by_entity(np.array([str(one) for one in table.column(entity).to_pylist()])):
        rows = rows[np.argsort(at_s[rows], kind="stable")]
        out.append(Labelled(f"{path.stem}-{name}", at_s[rows], values[rows], label[rows] == 1, scored[rows]))
    return out


def asd(data: Path) -> list[Labelled]:
    """12 servers, 19 KPIs."""
    return _split_set(data / "asd_servers" / "asd_servers.parquet", "entity")


def jumpstarter(data: Path) -> list[Labelled]:
    """12 services, 19 KPIs."""
    folder = data / "jumpstarter_services"
    return [one for file in sorted(folder.glob("dataset*.parquet")) for one in _split_set(file, "service")]


def smd(data: Path) -> list[Labelled]:
    """3 machines, 38 KPIs."""
    return _split_set(data / "smd_servers" / "smd_3machines.parquet", "entity")


def ms_cloud(data: Path) -> list[Labelled]:
    """60 series of one KPI, at a minute or an hour. The last three quarters of each are scored."""
    table = read_table(data / "ms_cloud_monitoring" / "ms_cloud_monitoring.csv.zst")
    at_s, value, label = (numbers(table.column(name)) for name in ("ts", "value", "label"))
    out = []
    for name, rows in by_entity(np.array([str(one) for one in table.column("series").to_pylist()])):
        rows = rows[np.argsort(at_s[rows], kind="stable")]
        scored = np.arange(len(rows)) >= _LEARNT_SHARE * len(rows)
        out.append(Labelled(f"ms-{name}", at_s[rows], value[rows][:, None], label[rows] == 1, scored))
    return out


SETS = {"asd": asd, "jumpstarter": jumpstarter, "smd": smd, "ms_cloud": ms_cloud}


def binned(series: Labelled) -> Binned:
    """By bins of 300 s, or of the step where that is wider: means of the values, the last one known where none is."""
    bin_s = max(GRID_STEP_S, series.step_s)
    bins, place = np.unique(np.floor_divide(series.at_s, bin_s).astype(np.int64), return_inverse=True)
    known = ~np.isnan(series.values)
    sums, counts = np.zeros((len(bins), known.shape[1])), np.zeros((len(bins), known.shape[1]))
    np.add.at(sums, place, np.where(known, series.values, 0.0))
    np.add.at(counts, place, known)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    label, scored = np.zeros(len(bins), dtype=bool), np.zeros(len(bins), dtype=bool)
    np.logical_or.at(label, place, series.label)
    np.logical_or.at(scored, place, series.scored)
    return Binned(bin_s, bins * bin_s, _filled(means), label, scored)


def _filled(values: np.ndarray) -> np.ndarray:
    rows = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    np.maximum.accumulate(rows, axis=0, out=rows)
    return np.nan_to_num(np.take_along_axis(values, rows, axis=0))


def prescale_scores(prescale: Sequence[str], series: list[Labelled], grids: list[Binned]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Score and p-value of each bin by `prescale anomalies`, whose command line begins with `prescale`; before it knows of any,
    the score is 0 and the p-value NaN."""
    found: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shapes = sorted({(one.step_s, one.values.shape[1]) for one in series})
        for number, shape in enumerate(shapes):
            alike = [one for one in series if (one.step_s, one.values.shape[1]) == shape]
            trace, scores = Path(folder) / f"trace-{number}.parquet", Path(folder) / f"scores-{number}.csv"
            mapping = _write_trace(trace, alike)
            command = [*prescale, "anomalies", "--data", str(trace), "--map", mapping, "--csv", str(scores)]
            try:
                run = subprocess.run(command, capture_output=True, text=True, check=False)
            except OSError as error:
                raise DetectionError(f"cannot run {prescale[0]!r} ({error}): build it, or say where it is with --prescale") from error
            if run.returncode != 0:
                raise DetectionError(f"{' '.join(command[:4])} failed: {run.stderr.strip()}")
            table = read_table(scores)
            at_s, score, p_value = instants_s(table.column("at")), numbers(table.column("score")), numbers(table.column("p_value"))
            for name, rows in by_entity(np.array(table.column("workload").to_pylist(), dtype=str)):
                found[str(name)] = (at_s[rows], score[rows], p_value[rows])
    return [_on_bins(grid, *found.get(one.name, (np.empty(0),) * 3)) for one, grid in zip(series, grids)]


def _write_trace(path: Path, series: list[Labelled]) -> str:
    """Writes the series as one trace; gives its mapping."""
    names = [f"kpi_{kpi:02}" for kpi in range(series[0].values.shape[1])]
    columns = {
        "workload": np.concatenate([np.repeat(one.name, len(one.at_s)) for one in series]),
        "t": np.concatenate([one.at_s for one in series]).astype(np.int64),
    }
    values = np.concatenate([one.values for one in series])
    columns |= {name: pyarrow.array(values[:, kpi], from_pandas=True) for kpi, name in enumerate(names)}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return ",".join(["entity=workload", "time=t", *(f"{name}={name}" for name in names)])


def _on_bins(grid: Binned, at_s: np.ndarray, score: np.ndarray, p_value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By bin the first that closed in it, or what was said last."""
    closed = np.floor_divide(at_s, grid.bin_s) * grid.bin_s
    newest = np.searchsorted(closed, grid.at_s, side="right") - 1
    first = np.searchsorted(closed, grid.at_s, side="left")
    place = np.minimum(first, newest)
    known = place >= 0
    scores, p_values = np.zeros(len(place)), np.full(len(place), np.nan)
    scores[known] = np.nan_to_num(score[place[known]])
    p_values[known] = p_value[place[known]]
    return scores, p_values


def detection(sets: dict[str, list[Labelled]], prescale: Sequence[str], say: Callable[[str], None]) -> dict:
    """By set and detector the mean of the series' VUS-PR, by set also how often p-values below .001 come where no label is
    near, in so many of 1,000."""
    figures: dict = {"vus_pr": {}, "p_below_001_of_1000_unlabelled": {}, "series": {}}
    for name, series in sets.items():
        grids = [binned(one) for one in series]
        ours = prescale_scores(prescale, series, grids)
        figures["p_below_001_of_1000_unlabelled"][name] = _rare(grids, [p_value for _, p_value in ours])
        by_detector: dict[str, list[float]] = {}
        for number, (grid, (score, p_value)) in enumerate(zip(grids, ours), 1):
            label = grid.label[grid.scored]
            if not label.any():
                continue
            window = period(grid.values[:, 0])
            all_scores = {OURS: score, OURS_P: -np.log(np.nan_to_num(p_value, nan=1.0))} | {name: made(grid.values) for name, made in DETECTORS.items()}
            for detector, scores in all_scores.items():
                by_detector.setdefault(detector, []).append(vus_pr(label, scores[grid.scored], window))
            say(f"{name}: {number} of {len(grids)}")
        figures["series"][name] = len(next(iter(by_detector.values()), []))
        figures["vus_pr"][name] = {detector: float(np.mean(each)) for detector, each in by_detector.items()}
    return figures


_NEAR_BINS = 24


def _rare(grids: list[Binned], p_values: list[np.ndarray]) -> float:
    """Of 1,000 bins with a p-value, and no label within two hours, so many are below .001."""
    rare = known = 0
    for grid, p_value in zip(grids, p_values):
        is_near = np.convolve(grid.label, np.ones(2 * _NEAR_BINS + 1), "same") > 0
        usual = ~np.isnan(p_value) & ~is_near
        rare, known = rare + int((p_value[usual] < 1e-3).sum()), known + int(usual.sum())
    return 1e3 * rare / max(known, 1)


def table(figures: dict) -> str:
    """A detector a line, a set a column."""
    sets = list(figures["vus_pr"])
    detectors = list(dict.fromkeys(name for each in figures["vus_pr"].values() for name in each))
    lines = ["VUS-PR, mean of the series", "", f"{'':<24}" + "".join(f"{name:>14}" for name in sets)]
    for detector in detectors:
        shown = (figures["vus_pr"][name].get(detector, np.nan) for name in sets)
        lines.append(f"{detector:<24}" + "".join(f"{value:>14.3f}" for value in shown))
    rare = (figures["p_below_001_of_1000_unlabelled"][name] for name in sets)
    lines += [f"{'series':<24}" + "".join(f"{figures['series'][name]:>14}" for name in sets), ""]
    lines.append(f"{'p < .001, of 1,000 (*)':<24}" + "".join(f"{value:>14.2f}" for value in rare))
    return "\n".join([*lines, "", "(*) bins with no label within two hours"])
