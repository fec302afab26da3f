"""Generated data that several tests use."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from prescale_training.generated import generated_fleet
from prescale_training.series import capacities

RECIPE = """
name = "tiny"
version = "0.0.1"
seed = 4
[[sources]]
path = "{path}"
value_column = "cpu"
capacity_column = "cores"
test_buckets = 30
validation_buckets = 20
[generated]
count = 16
bins = 700
[training]
steps = 12
batch = 8
hidden = 16
chunk_bins = 96
segment_chunks = 6
groups = 2
validate_every = 6
"""


@pytest.fixture(scope="session")
def fleet():
    return generated_fleet(16, 700, seed=5)


@pytest.fixture(scope="session")
def arrays(fleet):
    """(values, start_s, capacity) of the fleet as arrays."""
    return np.stack([s.values for s in fleet]), np.array([s.start_s for s in fleet]), capacities(fleet)


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    """A Parquet file of 20 workloads of 1000 bins."""
    rng = np.random.default_rng(0)
    vms, bins = 20, 1000
    table = {
        "workload": np.repeat([f"vm{i}" for i in range(vms)], bins),
        "at_s": np.tile(1_704_067_200 + 300 * np.arange(bins), vms),
        "cpu": np.abs(1 + 0.5 * np.sin(np.tile(np.arange(bins), vms) * 2 * np.pi / 288) + 0.1 * rng.normal(size=vms * bins)),
        "cores": np.full(vms * bins, 4.0),
    }
    path = tmp_path_factory.mktemp("history") / "history.parquet"
    pyarrow.parquet.write_table(pyarrow.table(table), path)
    return path


@pytest.fixture(scope="module")
def recipe(request, history, tmp_path_factory):
    """The module's RECIPE as a file, or a short run's where it has none."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(getattr(request.module, "RECIPE", RECIPE).format(path=history))
    return path
