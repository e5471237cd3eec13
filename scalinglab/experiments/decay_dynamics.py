"""What happens in the decay? Single updates of trunk and decay: their size, gradients, slope and curvature.

MiniCPM's figures 7 and 8 (Hu et al. 2024, section 4.3) with what they lack: the trunk going on at its constant rate
over the decay's own updates, several seeds, and readings that the noise of batches does not bias (`training/probe.py`).
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

from scalinglab.analysis import Estimate, count_text
from scalinglab.experiments import dynamics_figures
from scalinglab.experiments.dynamics_findings import Findings, Pair
from scalinglab.experiments.dynamics_records import LATE, Dynamics
from scalinglab.experiments.dynamics_words import lines_of, notes_of, setup_of, tables_of, verdict_of
from scalinglab.experiments.report import Claim, Report
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import percent
from scalinglab.experiments.wsd_findings import estimate_text

Verdict = Literal["confirmed", "contradicted", "undecided"]
PROPORTIONAL = 0.25
"""A power of the learning rate within so much of 1 is told as following it."""
MAGNITUDE = math.sqrt(10.0)
"""From here on a factor is nearer to ten than to one."""
_SEEDS = "more seeds, or more decays of them"


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the probed runs say.

    Raises InputError for a study of several sizes, without a probe, or without a trunk that goes on beside a decay.
    """
    found = Dynamics(trained)
    progress("figures", 0, 1)
    said = Findings(found)
    claims = tuple(claims_of(said))
    size = trained.study.shape(trained.study.ladder.sizes[0])
    return Report(
        title=f"Inside the decay: single updates at {count_text(size.params)} parameters",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4.3, figures 7 and 8",
        question="What do updates, gradients and the loss along them do in the decay that they do not on the trunk?",
        setup=setup_of(found),
        lines=tuple(lines_of(said)),
        tables=tables_of(said),
        figures={
            "decay-dynamics": lambda: dynamics_figures.updates_and_loss(found),
            "decay-dynamics-gradients": lambda: dynamics_figures.gradients(found),
            "decay-dynamics-curvature": lambda: dynamics_figures.curvature_against_rate(found),
        },
        claims=claims,
        verdict=verdict_of(said, claims),
        notes=(*notes_of(said), *trained.notes),
    )


# ---- claims ----------------------------------------------------------------------------------------------


def claims_of(said: Findings) -> Iterator[Claim]:
    """The paper's claims in its own order, judged by the study's first decay."""
    yield _updates(said)
    yield _movement(said)
    yield _norm(said)
    yield _cosine(said)
    yield _slope(said)
    yield _second(said)
    yield _bend(said)


def _updates(said: Findings) -> Claim:
    power = said.follows
    apart = Estimate(power.value - 1, power.lo - 1, power.hi - 1)
    verdict: Verdict = "undecided"
    if max(abs(apart.lo), abs(apart.hi)) <= PROPORTIONAL:
        verdict = "confirmed"
    elif apart.lo > PROPORTIONAL or apart.hi < -PROPORTIONAL:
        verdict = "contradicted"
    sizes = said.ratio("update_max")
    return Claim(
        "the largest weight update of a step follows the learning rate",
        verdict,
        f"in the decay it goes as the power {power.text()} of the rate; in its last {percent(LATE)}, where the rate is "
        f"{percent(said.rate)} of the trunk's, it is {percent(sizes.against.value)} of the trunk's",
        _SEEDS if verdict == "undecided" else "",
    )


def _movement(said: Findings) -> Claim:
    path, faster = said.path, said.falls_faster
    unit = said.found.loss_unit
    if path.hi < 1 and faster.lo > 0:
        verdict: Verdict = "confirmed"
    elif path.lo > 1 or faster.hi < 0:
        verdict = "contradicted"
    else:
        verdict = "undecided"
    before = said.fall_before
    text = (
        f"the decay's path is {path.text()} times as long as the trunk's over the same updates, and held-out loss "
        f"falls by {said.fall.text()} {unit} instead of {said.fall_trunk.text()}"
    )
    if not math.isnan(before.value):
        text += f"; over as many updates before the fork it fell by {before.text()}"
    return Claim(
        "before the decay weights move much and the loss hardly; in the decay they move little and the loss falls fast",
        verdict,
        text,
        _SEEDS if verdict == "undecided" else "",
    )


def _norm(said: Findings) -> Claim:
    norm = said.ratio("grad_norm_mean")
    inner = said.ratio("grad_inner", 0.5).against
    text = f"late in the decay it is {norm.against.text()} times the trunk's over the same updates"
    if not math.isnan(inner.value):
        text += (
            f"; without the noise of the batch, which is {percent(said.noise_share(True))} of its square there and "
            f"{percent(said.noise_share(False))} on the trunk, {inner.text()} times"
        )
    return Claim("the gradient norm falls", *_below(norm.against, 1.0, text))


def _cosine(said: Findings) -> Claim:
    share, cosine = said.differs("cosine_positive"), said.differs("cosine")
    if share.decay.lo > 0.5 and share.trunk.hi < 0.5:
        verdict: Verdict = "confirmed"
    elif share.decay.hi < 0.5 or share.trunk.lo > 0.5 or share.against.hi < 0:
        verdict = "contradicted"
    else:
        verdict = "undecided"
    text = (
        f"it is positive in {_share(share.decay)} of the late decay's pairs and in {_share(share.trunk)} of the "
        f"trunk's; its mean is {estimate_text(cosine.decay, 3)} and {estimate_text(cosine.trunk, 3)}, "
        f"{_risen(cosine.against)}"
    )
    if share.trunk.lo > 0.5 and verdict == "contradicted":
        text += "; mostly positive it is on the trunk already"
    return Claim(
        "the cosine between consecutive gradients turns mostly positive",
        verdict,
        text,
        _SEEDS if verdict == "undecided" else "",
    )


def _slope(said: Findings) -> Claim:
    """What passes through zero follows no rate, small as it may be there."""
    found, start = said.magnitude("slope_next"), said.differs("slope")
    text = (
        f"at an update's end it is {estimate_text(found.decay)} nats/token late in the decay, where the rate is "
        f"{percent(said.rate)} of the trunk's, and {estimate_text(found.trunk)} on the trunk: its magnitude changes by "
        f"{estimate_text(found.against, 2)} of the trunk's"
    )
    turns = max(found.decay.lo, found.trunk.lo) > 0 > min(found.decay.hi, found.trunk.hi)
    if turns:
        text += f", and its sign too: the trunk's updates end where the loss {_goes(found.trunk)} along them, those of "
        text += f"the decay where it {_goes(found.decay)}"
    text += f"; at an update's start it is {estimate_text(start.decay)} and {estimate_text(start.trunk)}"
    claim = "the first directional derivative falls with the learning rate"
    return Claim(claim, "contradicted", text) if turns else Claim(claim, *_below(found.against, 0.0, text))


def _goes(slope: Estimate) -> str:
    return "rises" if slope.value > 0 else "falls"


def _second(said: Findings) -> Claim:
    ours, theirs = said.ratio("curvature"), said.ratio("curvature_consecutive")
    text = (
        f"read from one batch at both ends it is {ours.decay.text()} late in the decay and {ours.trunk.text()} on the "
        f"trunk, {ours.against.text()} times; read from consecutive gradients as in the paper {_times(theirs)}: "
        "what is above the first reading is the batches' noise over the update's length"
    )
    return Claim("the second directional derivative grows slightly", *_above(ours.against, 1.0, text))


def _bend(said: Findings) -> Claim:
    ours, theirs = said.ratio("bend"), said.ratio("bend_consecutive")
    if ours.against.lo > MAGNITUDE:
        verdict: Verdict = "confirmed"
    elif ours.against.hi < MAGNITUDE:
        verdict = "contradicted"
    else:
        verdict = "undecided"
    return Claim(
        "the curvature of the loss along the path grows tenfold",
        verdict,
        f"|D2|/(1 + D1²)^1.5 is {ours.against.text()} times the trunk's where D2 is of one batch, and "
        f"{_times(theirs)} where it is of consecutive gradients",
        _SEEDS if verdict == "undecided" else "",
    )


def _below(found: Estimate, margin: float, because: str) -> tuple[Verdict, str, str]:
    """The claim that a figure is less than the margin."""
    if found.hi < margin:
        return "confirmed", because, ""
    return ("contradicted", because, "") if found.lo > margin else ("undecided", because, _SEEDS)


def _above(found: Estimate, margin: float, because: str) -> tuple[Verdict, str, str]:
    if found.lo > margin:
        return "confirmed", because, ""
    return ("contradicted", because, "") if found.hi < margin else ("undecided", because, _SEEDS)


def _share(found: Estimate) -> str:
    if math.isnan(found.lo):
        return percent(found.value)
    return f"{percent(found.value)} [{percent(max(found.lo, 0.0))}, {percent(min(found.hi, 1.0))}]"


def _risen(gap: Estimate) -> str:
    how = "higher by" if gap.lo > 0 else "lower by" if gap.hi < 0 else "which cannot be told apart:"
    return f"{how} {estimate_text(gap, 3)}"


def _times(found: Pair) -> str:
    return f"{found.decay.text()} and {found.trunk.text()}, {found.against.text()} times"
