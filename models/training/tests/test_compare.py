"""Models, statsforecast and the textbook's baselines are compared on the same points."""

import json
from pathlib import Path

import numpy as np
import pytest

from prescale_training import textbook
from prescale_training.__main__ import main
from prescale_training.compare import Sample, compare, table
from prescale_training.generated import generated_fleet
from prescale_training.schema import QUANTILE_LEVELS

GRU = Path(__file__).parents[2] / "gru"


@pytest.fixture(scope="module")
def figures():
    series = generated_fleet(6, 900, seed=31)
    return compare([GRU], series, Sample(4, 3, 7, 600), [], lambda _: None)


def test_references_are_one_of_themselves_and_the_model_beats_them(figures):
    all_series = next(iter(figures["kpis"].values()))
    for reference in ("textbook_seasonal_naive", "textbook_last_value"):
        assert all_series[reference][reference]["values"] == 1.0
        assert all_series[reference]["gru"]["values"] < 1.0
    assert figures["workloads"] == 4 and figures["points"] == 12
    assert "textbook_last_value" in table(figures)


def test_the_same_seed_gives_the_same_points(figures):
    again = compare([GRU], generated_fleet(6, 900, seed=31), Sample(4, 3, 7, 600), [], lambda _: None)
    assert json.dumps(again) == json.dumps(figures)


def test_the_textbook_by_hand():
    values = np.array([[0.0, 1.0, 3.0, 3.0, 4.0]])
    q = textbook.last_value(values)
    # At bin 3 the errors one bin ahead were 1, 2, 0.
    deviation = np.sqrt(5 / 3)
    assert q[0, 3, 0, 0, QUANTILE_LEVELS.index(0.5)] == 3.0
    assert q[0, 3, 0, 0, QUANTILE_LEVELS.index(0.95)] == pytest.approx(3.0 + 1.6448536 * deviation)
    # At bin 2 the error three bins ahead was not known.
    assert (q[0, 2, 1, 0] == 3.0).all()


def test_statsforecast_on_the_same_points():
    series = generated_fleet(3, 700, seed=8)
    figures = compare([GRU], series, Sample(1, 2, 1, 400), ["autoets"], lambda _: None)
    row = next(iter(figures["kpis"].values()))["textbook_last_value"]["autoets"]
    assert 0 < row["values"] < 3 and 0 < row["maximum_3600s"] < 5


def test_from_the_command_line_on_a_trace_of_ones_own(history, tmp_path, capsys):
    given = ["compare", str(GRU), "--trace", str(history), "--map", "entity=workload,time=at_s,cpu=cpu,cpu_capacity=cores"]
    given += ["--workloads", "3", "--points", "2", "--history-bins", "600", "--json", str(tmp_path / "c.json")]
    assert main(given) == 0
    assert json.loads((tmp_path / "c.json").read_text())["points"] == 6
    assert main([*given[:2], "--trace", str(history)]) == 64
    assert main([*given, "--history-bins", "99999"]) == 1
    assert "is longer than" in capsys.readouterr().err


def test_where_a_fit_fails_the_last_value_stands_in(monkeypatch):
    from prescale_training import statsforecasters

    def broken(name):
        raise np.linalg.LinAlgError("infs or NaNs")

    monkeypatch.setattr(statsforecasters, "make", broken)
    q, fitted = statsforecasters.quantiles("autoarima", np.array([1.0, 2.0, 1.0, 2.0]), 1)
    assert not fitted and (q[:, :, QUANTILE_LEVELS.index(0.5)] == 2.0).all()
    assert q[2, 0, 7] == pytest.approx(2.0 + 2.3263479 * np.sqrt(12))
