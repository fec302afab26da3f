"""Generated data that several tests use."""

import numpy as np
import pytest

from prescale_training.generated import generated_fleet


@pytest.fixture(scope="session")
def fleet():
    return generated_fleet(16, 700, seed=5)


@pytest.fixture(scope="session")
def arrays(fleet):
    """(values, start_s, capacity) of the fleet as arrays."""
    capacity = np.array([np.nan if s.capacity is None else s.capacity for s in fleet])
    return np.stack([s.values for s in fleet]), np.array([s.start_s for s in fleet]), capacity
