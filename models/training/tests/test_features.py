"""The vectorised features say what the straightforward ones say, and both what FEATURES.md says."""

import json
from pathlib import Path

import numpy as np
import pytest

from prescale_training import schema
from prescale_training.features import features
from prescale_training.goldens import FEATURES_GOLDEN, features_golden
from prescale_training.reference import reference_features
from prescale_training.targets import targets

KIT = Path(__file__).parents[1]


def test_vectorised_equals_reference(fleet, arrays):
    x, scale = features(*arrays)
    for i, one in enumerate(fleet):
        rows, scales = reference_features(one.values, one.start_s, one.capacity)
        np.testing.assert_allclose(x[i], rows, atol=3e-6, err_msg=one.name)
        np.testing.assert_allclose(scale[i], scales, rtol=1e-9)


@pytest.mark.parametrize("bins", [1, 2, 11, 12, 13, 287, 288, 289, 300])
def test_short_series_equal_reference(arrays, bins):
    values, start_s, capacity = arrays
    x, _ = features(values[:, :bins], start_s, capacity)
    rows, _ = reference_features(values[0, :bins], int(start_s[0]), None if np.isnan(capacity[0]) else capacity[0])
    np.testing.assert_allclose(x[0], rows, atol=3e-6)


def test_features_never_look_ahead(arrays):
    values, start_s, capacity = arrays
    changed = values.copy()
    changed[:, 400:] = 7.0
    before, _ = features(values, start_s, capacity)
    after, _ = features(changed, start_s, capacity)
    np.testing.assert_array_equal(before[:, :400], after[:, :400])
    assert (before[:, 400] != after[:, 400]).any()


def test_hand_computed_bins():
    # 2024-01-02 (a Tuesday) 06:00 UTC: a quarter of the day, 1.25 days into the week.
    rows, scale = reference_features([2.0, float("nan"), 4.0], 1_704_175_200, None)
    d = 0.5 ** (1 / 288)
    want = (2.0 * d * (1 - d) + 4.0 * (1 - d)) / (1 - d**2)
    assert scale == pytest.approx([2.0, 2.0, want])
    assert rows[1, :4] == pytest.approx([1.0, 1.0, 0.0, 1.0])
    assert rows[2, 2] == pytest.approx(2.0 / want)
    assert rows[2, 3] == pytest.approx((2 + 2 + 4) / 3 / want)
    assert rows[0, 14:] == pytest.approx([1.0, 0.0, np.sin(2.5 * np.pi / 7), np.cos(2.5 * np.pi / 7)])
    assert rows[0, 13] == pytest.approx(np.log(2) / np.log(2017))


def test_a_series_may_not_begin_with_a_missing_bin():
    with pytest.raises(ValueError):
        reference_features([float("nan"), 1.0], 0, None)
    with pytest.raises(ValueError):
        features(np.array([[np.nan, 1.0]]), np.array([0]), np.array([np.nan]))


def test_the_page_and_the_code_name_the_same_features():
    assert f"```text\n{schema.SCHEMA_TEXT}```" in (KIT / "FEATURES.md").read_text()


def test_the_golden_features_are_these_and_no_model_repeats_them():
    assert json.loads(FEATURES_GOLDEN.read_text()) == json.loads(json.dumps(features_golden()))
    assert not list(KIT.parent.glob(f"*/{FEATURES_GOLDEN.name}"))


def test_targets_by_hand():
    values = np.arange(20.0)[None]
    values[0, 5], values[0, 9] = 100.0, np.nan
    y = targets(values)
    assert y[0, 4, 0].tolist() == [100.0, 100.0]
    assert y[0, 4, 1].tolist() == [7.0, 100.0]
    assert np.isnan(y[0, 6, 1, 1]) and np.isnan(y[0, 6, 1, 0])
    assert y[0, 7, 1, 0] == 10.0 and np.isnan(y[0, 7, 1, 1])
    assert np.isnan(y[0, 19]).all() and np.isnan(y[0, 8:, 2]).all()
