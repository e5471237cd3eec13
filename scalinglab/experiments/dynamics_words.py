"""What `decay_dynamics` found, in lines, tables and sentences made of its figures."""

from collections.abc import Iterator, Sequence

import pandas as pd

from scalinglab.analysis import count_text, number_text
from scalinglab.experiments.dynamics_figures import SMOOTHED
from scalinglab.experiments.dynamics_findings import LEVEL, Findings
from scalinglab.experiments.dynamics_records import LATE, Dynamics
from scalinglab.experiments.report import Beside, Claim
from scalinglab.experiments.wsd_ends import percent
from scalinglab.experiments.wsd_findings import listed


def lines_of(said: Findings) -> Iterator[Beside]:
    """The paper's words beside our figures."""
    unit = said.found.loss_unit
    yield Beside("power of the learning rate that the largest update goes with", "follows it", said.follows)
    yield Beside("length of the decay's path over the trunk's", "less", said.path, "same updates, same seed")
    yield Beside(f"held-out loss that the decay takes off ({unit})", "falls fast", said.fall)
    yield Beside(f"that the trunk takes off meanwhile ({unit})", "hardly", said.fall_trunk)
    yield Beside(
        "changes of unseen batches' losses by single updates, summed over the decay (nats/token)",
        "",
        said.changes,
        "on the training mixture",
    )
    yield Beside("gradient norm, late decay over trunk", "falls", said.ratio("grad_norm_mean").against)
    yield Beside(
        "the same without the batch's noise",
        "",
        said.ratio("grad_inner", 0.5).against,
        "two batches at one place",
    )
    yield Beside(
        "consecutive gradients at less than 90°, late decay", "mostly", said.differs("cosine_positive").decay
    )
    yield Beside("the same, trunk", "not mostly", said.differs("cosine_positive").trunk)
    yield Beside(
        "change of the slope's magnitude at an update's end, of the trunk's",
        f"falls with the rate: {number_text(said.rate - 1)}",
        said.magnitude("slope_next").against,
    )
    yield Beside(
        "second derivative along the update, late decay over trunk",
        "slightly more",
        said.ratio("curvature").against,
    )
    yield Beside(
        "the same from consecutive gradients",
        "slightly more",
        said.ratio("curvature_consecutive").against,
        "biased",
    )


_ROWS = (
    ("update_max", "largest update of one weight"),
    ("update_norm", "distance of an update |v|"),
    ("displacement", "distance between the ends of a record (ten updates)"),
    ("weight_norm", "norm of the weights"),
    ("grad_norm_mean", "gradient norm of a batch"),
    ("grad_inner", "squared norm of the gradient, without noise"),
    ("cosine", "cosine of consecutive gradients"),
    ("cosine_positive", "share of positive cosines"),
    ("slope_own", "slope at an update's start, its own batch"),
    ("slope", "slope at an update's start, unseen batch"),
    ("slope_next", "slope at an update's end, unseen batch (the paper's D1)"),
    ("curvature", "second derivative, one batch at both ends"),
    ("curvature_consecutive", "second derivative, consecutive gradients (the paper's D2)"),
    ("bend_consecutive", "curvature of the path (the paper's K)"),
    ("loss_change", "change of an unseen batch's loss by an update (nats/token)"),
)


def tables_of(said: Findings) -> dict[str, pd.DataFrame]:
    """Title -> frame: the first decay beside its trunk, and every decay's."""
    label = said.found.main.label
    return {
        f"{label}: the last {percent(LATE)} of the decay, beside the trunk over the same updates": _table(
            said
        ),
        "every decay against its trunk": _recipes(said.found),
    }


def _table(said: Findings) -> pd.DataFrame:
    rows = []
    for column, what in _ROWS:
        pair = said.differs(column)
        rows.append(
            {
                "figure": what,
                "decay": number_text(pair.decay.value),
                "trunk": number_text(pair.trunk.value),
                f"difference, {LEVEL:.0%} interval": pair.against.text(),
            }
        )
    return pd.DataFrame(rows)


def _recipes(found: Dynamics) -> pd.DataFrame:
    rows = []
    for recipe in found.recipes:
        said = Findings(found, recipe)
        if not found.of(recipe):
            continue
        rows.append(
            {
                "decay": recipe.label,
                f"rate in its last {percent(LATE)}, of the trunk's": percent(said.rate),
                "path, of the trunk's": said.path.text(),
                f"held-out fall beyond the trunk's ({found.loss_unit})": said.falls_faster.text(),
                "gradient norm, of the trunk's": said.ratio("grad_norm_mean").against.text(),
                "cosine less the trunk's": said.differs("cosine").against.text(),
                "second derivative, of the trunk's": said.ratio("curvature").against.text(),
                "from consecutive gradients": said.ratio("curvature_consecutive").against.text(),
            }
        )
    return pd.DataFrame(rows)


def verdict_of(said: Findings, claims: Sequence[Claim]) -> str:
    """Which of the claims hold, in their order, and what the decay does to the loss."""
    by: dict[str, list[str]] = {"confirmed": [], "contradicted": [], "undecided": []}
    short = (
        "the size of updates", "loss per distance moved", "the gradient norm", "the cosine", "the first derivative",
        "the second derivative", "the path's curvature",
    )  # fmt: skip
    for name, claim in zip(short, claims, strict=True):
        by[claim.verdict].append(name)
    parts = [f"{listed(names)} {how}" for how, names in by.items() if names]
    unit = said.found.loss_unit
    return (
        f"Of what the paper says of {listed(list(short))}: {'; '.join(parts)}. Over {said.found.main.label} held-out "
        f"loss falls by {said.fall.text()} {unit} on {percent(said.path.value)} of the way that the trunk takes "
        f"meanwhile, whose loss falls by {said.fall_trunk.text()}. Late in it the second derivative is "
        f"{said.ratio('curvature').against.text()} times the trunk's read from one batch at both ends of an update, "
        f"and {said.ratio('curvature_consecutive').against.text()} times read from consecutive gradients, whose "
        "difference is noise of the batches."
    )


def setup_of(found: Dynamics) -> str:
    """What was run."""
    study = found.trained.study
    every = study.probe.every if study.probe else 0
    looked = "every update" if every == 1 else f"every {every}th update"
    return (
        f"Trunks of {len(found.seeds)} seeds at learning rate {study.training.lr:g}, decays of "
        f"{listed([each.label for each in found.recipes])} to {listed([count_text(each) for each in found.horizons])} "
        f"tokens, and the trunks going on beside them to the same horizons. At {looked} the gradient of its own batch "
        "is taken, and that of the next batch before and after it."
    )


def notes_of(said: Findings) -> Iterator[str]:
    """What the figures rest on."""
    found, study = said.found, said.found.trained.study
    yield (
        f"Decay and trunk share seed, batches and all updates up to the fork; intervals are of {LEVEL:.0%}, with the "
        f"{len(found.seeds)} seeds as their units. Figures late in the decay are means over its last {percent(LATE)}."
    )
    yield (
        "An update follows the noise of its batch: the slope that this batch tells is biased downwards, and the "
        "difference of two batches' gradients along the update tells noise over |v| beside the curvature, the more "
        "the smaller the update. The gradient of one batch, which the update has not seen, at both ends tells neither. "
        f"With {count_text(study.training.batch_tokens)} tokens in a batch noise is {percent(said.noise_share(False))} "
        "of the squared gradient on the trunk; a larger batch has less, and its cosines and norms are others."
    )
    yield (
        "The gradient is taken before clipping. An update's largest element and its length are over all weights; under "
        "AdamW each is the learning rate times what the moments allow, so that their going with the rate is its rule."
    )
    yield (
        f"Curves are running means over {SMOOTHED} records of ten updates (fewer in short decays), bands the range of "
        "the seeds."
    )
