"""What a search tries next, and which of its trials go on: both functions of the records alone.

Settings come from optuna's tree-structured Parzen estimator in its multivariate form (Bergstra et al. 2011,
"Algorithms for hyper-parameter optimization"; Falkner et al. 2018, arXiv 1807.01774): densities of the better and of
the other trials over all constants together, so that it follows constants which hang together. Its random numbers are
seeded anew for each trial from (seed, number). Hence an interrupted search of one worker goes on exactly as one that
was not interrupted, with no other state than its records.

Trials are given up by asynchronous successive halving (Li et al. 2020, arXiv 1810.05934): one goes on from a rung where
its loss is among the best `keep` of all that were measured there.
"""

import hashlib
import math
import warnings
from collections.abc import Sequence

from scalinglab.errors import EnvironmentProblem
from scalinglab.ladder.search import Search
from scalinglab.records.trials import Trial


def need_sampler() -> None:
    """Raises EnvironmentProblem where the sampler's package is not installed."""
    from importlib import util

    if util.find_spec("optuna") is None:
        raise EnvironmentProblem(
            "a search needs optuna, which is not installed; install the extra: pip install "
            '"scalinglab[train,search]"'
        )


def suggest(search: Search, number: int, trials: Sequence[Trial]) -> dict[str, float]:
    """Settings of trial `number`, given what came of all others; rounded to five digits, as they are trained.

    Of trials that are running it knows where they are, and stays away.
    """
    import optuna

    seed = int.from_bytes(hashlib.sha256(f"{search.seed} {number}".encode()).digest()[:4], "big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=search.startup, multivariate=True, constant_liar=True
        )
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study
    try:
        study = optuna.create_study(sampler=sampler)
    finally:
        optuna.logging.set_verbosity(before)
    space: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(least, most, log=True)
        for name, (least, most) in search.ranges.items()
    }
    states = optuna.trial.TrialState
    # what diverged has no value anywhere: the sampler takes it for worse than whatever was measured
    state_of = {"running": states.RUNNING, "complete": states.COMPLETE}
    study.add_trials(
        [
            optuna.trial.create_trial(
                state=state_of.get(trial.state, states.PRUNED),
                params={name: float(trial.settings[name]) for name in space},
                distributions=space,
                value=trial.loss if trial.state == "complete" else None,
                intermediate_values={} if trial.state == "diverged" else trial.measured,
            )
            for trial in trials
        ]
    )
    drawn = study.ask(space).params
    # rounding must not leave the range
    return {
        name: min(max(float(f"{drawn[name]:.5g}"), least), most)
        for name, (least, most) in search.ranges.items()
    }


def goes_on(search: Search, number: int, tokens: int, loss: float, trials: Sequence[Trial]) -> bool:
    """Whether a trial goes on from the rung at `tokens`, given the others; one that diverged before counts as worst."""
    if number < search.startup:
        return True
    others = [trial for trial in trials if trial.number != number]
    here = [trial.measured[tokens] for trial in others if tokens in trial.measured]
    here += [math.inf for trial in others if trial.state == "diverged" and trial.tokens < tokens]
    return sum(other < loss for other in here) < max(1.0, search.keep * (len(here) + 1))
