"""The report on a table from a known law with two eval sets."""

import pytest
from known_law import runs_of

import scalinglab as sl
from scalinglab.reporting import Report


@pytest.fixture(scope="session")
def made() -> Report:
    laws = [sl.laws.Chinchilla(), sl.laws.Kaplan()]
    return sl.report(runs_of(2e-3), laws=laws, loss=sl.Huber(1e-2), resamples=60, title="Known & fitted")
