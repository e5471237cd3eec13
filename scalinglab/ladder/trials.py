"""What a trial of a search trains: one trunk and its decay under other settings, as a study of its own."""

from collections.abc import Mapping
from itertools import pairwise

from scalinglab.errors import InputError
from scalinglab.ladder.plan import Trunk, plan, study_batches
from scalinglab.ladder.search import SEARCHED, Search
from scalinglab.ladder.study import Size, Study, Training


def searched(study: Study) -> Search:
    """The study's section [search]. Raises InputError where it has none."""
    if study.search is None:
        raise InputError("the study has no section [search]; give one with the ranges of lr, scale_emb, ...")
    return study.search


def trial_size(study: Study) -> Size:
    """The size that trials train. Raises InputError where the ladder has none of that name."""
    named = searched(study).size
    if named is None:
        return min(study.ladder.sizes, key=lambda size: study.shape(size).params)
    for size in study.ladder.sizes:
        if size.label == named:
            return size
    known = ", ".join(size.label for size in study.ladder.sizes)
    raise InputError(f"search.size: the ladder has no size {named!r}; it has {known}")


def trial_horizon(study: Study) -> int:
    """Tokens of a trial that is not given up."""
    return searched(study).horizon or study.horizons(trial_size(study))[0]


def rungs(study: Study) -> list[int]:
    """Tokens at which trials are compared, to the nearest whole update."""
    batches, horizon = study_batches(study), trial_horizon(study)
    return [
        batches.tokens_at(batches.nearest_step(round(share * horizon))) for share in searched(study).rungs
    ]


def trial_study(study: Study, settings: Mapping[str, float]) -> Study:
    """A study that asks for one trial alone: its runs are those that any study with these settings would train."""
    size = trial_size(study).model_copy(update={"horizons": [trial_horizon(study)], "replicates": None})
    varied = {
        name: section.model_copy(
            update={key: value for key, value in settings.items() if key in type(section).model_fields}
        )
        for name, section in (("training", study.training), ("model", study.model))
    }
    ladder = study.ladder.model_copy(
        update={"sizes": [size], "horizons": [], "tokens_per_param": [], "checkpoints": rungs(study)}
    )
    branches = [entry.model_copy(update={"after": None}) for entry in study.branches[:1]]
    return study.model_copy(
        update=varied
        | {"ladder": ladder, "seeds": study.seeds[:1], "branches": branches}
        | {"merges": [], "full": [], "variants": [], "search": None, "probe": None}
    )


def trial_plan(study: Study, settings: Mapping[str, float]) -> Trunk:
    """The trunk of a trial with its one branch."""
    (trunk,) = plan(trial_study(study, settings))
    return trunk


def check_search(study: Study) -> None:
    """What holds between the keys of [search] and the rest. Raises InputError naming the key."""
    search = study.search
    if search is None:
        return
    if not search.ranges:
        raise InputError(f"search: names no range; give one of {', '.join(SEARCHED)}, as lr = [0.001, 0.1]")
    for key, (least, most) in search.ranges.items():
        if least >= most:
            raise InputError(f"search.{key}: [{least:g}, {most:g}] does not rise; give the lower end first")
        if key not in Training.model_fields and study.model.parametrisation != "minicpm":
            raise InputError(
                f"search.{key}: the {study.model.parametrisation} parametrisation has no {key}; leave it out, or "
                'choose parametrisation = "minicpm"'
            )
    shares = search.rungs
    if any(a >= b for a, b in pairwise(shares)):
        raise InputError(f"search.rungs: {shares} does not rise; name each share once, in order")
    entry = study.branches[0] if study.branches else None
    if entry is not None and (entry.sizes or entry.seeds or entry.horizons):
        raise InputError(
            f"search: trials decay as the first entry of branches says, and {entry.name!r} is for a part of the "
            "ladder alone; put one for all of it first"
        )
    try:
        trunk = trial_plan(study, {})
    except InputError as error:
        raise InputError(f"search: {error}") from None
    branch = trunk.branches[0]
    measured = rungs(study)
    if measured and measured[-1] >= trunk.batches.tokens_at(branch.fork):
        raise InputError(
            f"search.rungs: {shares[-1]:g} lies inside the decay, which begins at "
            f"{branch.fork / branch.end:g} of the horizon; compare trials before it"
        )
