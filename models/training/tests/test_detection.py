"""Detectors are compared on the same bins, and find what was put into generated series."""

import json
import sys

import numpy as np
import pytest

from prescale_training.__main__ import main
from prescale_training.detection import OURS, Labelled, binned, detection, table
from prescale_training.detectors import DETECTORS, period
from prescale_training.vus import vus_pr

SCORER = """
import sys
import numpy, pyarrow, pyarrow.csv, pyarrow.parquet
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
table = pyarrow.parquet.read_table(given["--data"])
assert given["--map"].startswith("entity=workload,time=t,kpi_00=kpi_00"), given
values = numpy.stack([table.column(name).to_numpy() for name in table.column_names[2:]])
score = abs(values - values.mean(axis=1, keepdims=True)).max(axis=0)
at = pyarrow.array((1000 * table.column("t").to_numpy()).astype("datetime64[ms]"))
out = {"workload": table.column("workload"), "at": at, "score": score, "p_value": numpy.exp(-score), "kpis": [""] * len(score)}
pyarrow.csv.write_csv(pyarrow.table(out), given["--csv"])
"""


def series(seed: int, kpis: int, days: int = 12) -> Labelled:
    """A day's wave in several KPIs, with six level shifts of one of them for an hour or two in the last days."""
    rng = np.random.default_rng(seed)
    bins = 288 * days
    wave = np.sin(np.arange(bins) * 2 * np.pi / 288)[:, None]
    values = 10 + wave * rng.uniform(0.3, 1, kpis) + 0.3 * rng.normal(size=(bins, kpis))
    label = np.zeros(bins, dtype=bool)
    for begin in 288 * (days - 4) + 150 * np.arange(6) + 40:
        label[begin : begin + rng.integers(12, 24)] = True
    values[label, rng.integers(kpis)] += 4
    at_s = 1_704_067_200.0 + 300 * np.arange(bins)
    return Labelled(f"generated-{seed}", at_s, values, label, np.arange(bins) >= 288 * (days - 5))


@pytest.fixture
def scorer(tmp_path):
    script = tmp_path / "scorer.py"
    script.write_text(SCORER)
    return [sys.executable, str(script)]


def test_vus_pr_is_what_tsb_ad_computes():
    try:
        from TSB_AD.evaluation.basic_metrics import generate_curve
    except ImportError:
        pytest.fail("TSB-AD is not installed: pip install --no-deps -r requirements-bare.txt")
    rng = np.random.default_rng(5)
    for label_at in ([(0, 3), (60, 90), (96, 110)], [(200, 240), (250, 251), (290, 300)], [(120, 130)]):
        label = np.zeros(300, dtype=int)
        for begin, end in label_at:
            label[begin:end] = 1
        for score in (rng.normal(size=300) + label, rng.integers(0, 4, 300).astype(float)):
            for window in (0, 1, 20):
                theirs = generate_curve(label, score, window)[-1]
                assert vus_pr(label, score, window) == pytest.approx(theirs, abs=1e-9), (label_at, window)


@pytest.mark.parametrize("kpis", (1, 5))
def test_every_detector_ranks_what_was_put_in_above_chance(kpis):
    one = binned(series(3, kpis))
    label = one.label[one.scored]
    chance = label.mean()
    for name, detector in DETECTORS.items():
        scores = detector(one.values)
        assert scores.shape == one.label.shape and np.isfinite(scores).all(), name
        assert vus_pr(label, scores[one.scored], 60) > 1.5 * chance, name
    # Not 1: labels are widened by a buffer, which a score that is the label itself does not reach.
    assert vus_pr(label, label.astype(float), 60) > 0.8


def test_a_series_repeats_after_its_period():
    wave = np.sin(np.arange(3000) * 2 * np.pi / 96)
    assert abs(period(wave) - 96) <= 1
    assert period(np.zeros(500)) == 125


def test_bins_are_means_of_their_rows_and_labelled_by_any():
    at_s = 600.0 + 60 * np.arange(10)
    values = np.arange(10.0)[:, None].copy()
    values[5:, 0] = np.nan
    one = binned(Labelled("a", at_s, values, np.arange(10) == 7, np.ones(10, dtype=bool)))
    assert one.at_s.tolist() == [600, 900] and one.values[:, 0].tolist() == [2, 2]
    assert one.label.tolist() == [False, True]


def test_scores_of_the_command_line_are_compared_on_the_same_bins(scorer):
    figures = detection({"one": [series(1, 1)], "several": [series(2, 4), series(3, 4)]}, scorer, lambda _: None)
    assert figures["series"] == {"one": 1, "several": 2}
    for by_detector in figures["vus_pr"].values():
        assert set(DETECTORS) < set(by_detector)
        assert by_detector[OURS] > by_detector["Isolation Forest"] * 0.5
    assert "sliding PCA" in table(figures) and json.loads(json.dumps(figures)) == figures


def test_without_the_command_line_it_says_what_to_do(capsys, tmp_path):
    import pyarrow
    import pyarrow.parquet

    folder = tmp_path / "smd_servers"
    folder.mkdir()
    one = series(1, 1, days=6)
    rows = {"entity": ["a"] * len(one.at_s), "t": one.at_s, "split": one.scored.astype(int), "label": one.label.astype(int), "cpu": one.values[:, 0]}
    pyarrow.parquet.write_table(pyarrow.table(rows), folder / "smd_3machines.parquet")
    assert main(["anomalies", "--on", "smd", "--data", str(tmp_path), "--prescale", "/nowhere/prescale"]) == 1
    assert "say where it is with --prescale" in capsys.readouterr().err
