"""A study turned into runs: what is trained once, what forks from it, and where each is measured."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from scalinglab.errors import InputError
from scalinglab.ladder.batches import Batches
from scalinglab.ladder.decay import Decay
from scalinglab.ladder.from_scratch import Constant, Cosine, CosineLoop, Linear, Noam
from scalinglab.ladder.presets import DecaySpec
from scalinglab.ladder.schedule import WSD, WSDS, Schedule
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.study import Branches, Full, Merges, Study, Variant

Planned = TypeVar("Planned")


@dataclass(frozen=True)
class Changes:
    """What a branch does otherwise than its trunk; None where it goes on alike."""

    weight_decay: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    clip: float | None = None
    weights: tuple[tuple[str, float], ...] | None = None
    """Source name and weight, of those that are drawn from."""
    after: tuple[tuple[str, float], ...] | None = None
    """The same of what is trained on beyond the decay."""


@dataclass(frozen=True)
class Branch:
    """A decay forked from a trunk: updates `fork` .. `end`, its horizon being `end`."""

    fork: int
    end: int
    schedule: WSD
    batches: Batches
    """The trunk's up to the fork."""
    recipe: str = ""
    changes: Changes = Changes()
    after: tuple[int, ...] = ()
    """Steps beyond the decay at which it is measured once more, the rate held at its floor."""
    averaged: tuple[int, ...] = ()
    """Of a merge: the steps of the trunk whose states are averaged. It trains nothing."""

    @property
    def last(self) -> int:
        """The step at which it is through."""
        return self.after[-1] if self.after else self.end

    @property
    def steps(self) -> int:
        return 0 if self.averaged else self.last - self.fork

    @property
    def tokens(self) -> int:
        """Tokens of the decay, and of what is trained on after it."""
        first = self.last - self.steps
        return self.batches.tokens_at(self.last) - self.batches.tokens_at(first)


@dataclass(frozen=True)
class Trunk:
    """One size's warmup and stable run, and the branches that fork from it. Counted in updates."""

    shape: Shape
    seed: int
    batches: Batches
    schedule: Schedule
    branches: tuple[Branch, ...]
    checkpoints: tuple[int, ...] = ()
    """Further steps whose state is kept."""

    @property
    def label(self) -> str:
        return self.shape.name

    @property
    def forks(self) -> list[int]:
        """Steps whose state something starts from: a branch at its fork, a merge at each state it averages."""
        return sorted({step for branch in self.branches for step in branch.averaged or (branch.fork,)})

    @property
    def steps(self) -> int:
        """The trunk ends at its furthest fork: nothing needs it beyond, unless the study says so."""
        return max([*self.forks, *self.checkpoints])

    @property
    def stations(self) -> list[int]:
        """Where the trunk is measured and kept: its forks, and the branches' ends that it reaches."""
        seen = {branch.batches.tokens_at(branch.end) for branch in self.branches}
        ends = {self.batches.step_at(tokens) for tokens in seen} - {None}
        reached = {end for end in ends if end is not None and end < self.steps}
        return sorted({*reached, *self.forks, *self.checkpoints})

    def horizon(self, branch: Branch) -> int:
        """Tokens at a branch's end."""
        return branch.batches.tokens_at(branch.end)


@dataclass(frozen=True)
class Scratch:
    """A model trained from scratch under a schedule of its own, finished at each of `ends`."""

    shape: Shape
    seed: int
    batches: Batches
    schedule: Schedule
    ends: tuple[int, ...]
    recipe: str
    others: tuple[tuple[int, str], ...] = ()
    """Ends that another entry of the study asked for, and that entry's name."""
    branches: tuple[Branch, ...] = field(default=(), init=False)

    def recipe_at(self, end: int) -> str:
        return dict(self.others).get(end, self.recipe)

    @property
    def label(self) -> str:
        return f"{self.shape.name} {self.recipe}"

    @property
    def steps(self) -> int:
        return self.ends[-1]

    @property
    def stations(self) -> list[int]:
        return list(self.ends)


def plan(study: Study) -> list[Trunk]:
    """The trunks of a study with their branches, smallest size first; its variants' after its own.

    A branch of S updates decays over its last round(share·S), at least one. Raises InputError when
    a fork would lie inside the warmup, or a horizon between two updates.
    """
    if study.variants:
        return [trunk for variant in study.expanded() for trunk in _plan_of(variant, plan)]
    batches = study_batches(study)
    warmup = -(-study.schedule.warmup_tokens // study.training.batch_tokens)
    trunks = []
    for size in study.ladder.sizes:
        shape = study.shape(size)
        for seed, horizons in study.trunks(size):
            branches = []
            for entry, spec, half_life in study.recipes:
                if entry is not None and not entry.applies(size.label, seed):
                    continue
                chosen = entry.horizons if entry is not None else None
                for tokens in horizons:
                    if chosen is None or tokens in chosen:
                        branches.append(
                            _branch(study, entry, spec, half_life, tokens, batches, warmup, size.label)
                        )
            for merge in study.merges:
                if merge.applies(size.label, seed):
                    branches += [
                        _merge(study, merge, tokens, batches, warmup, size.label)
                        for tokens in horizons
                        if merge.horizons is None or tokens in merge.horizons
                    ]
            kept = tuple(
                _step(tokens, batches, "checkpoint", size.label) for tokens in study.ladder.checkpoints
            )
            if not branches and not kept:
                continue
            trunks.append(Trunk(shape, seed, batches, WSD(warmup), tuple(branches), kept))
    return sorted(trunks, key=lambda trunk: (trunk.shape.params, trunk.seed))


def plan_full(study: Study) -> list[Scratch]:
    """The runs that a study trains from scratch to compare with, smallest size first; its variants' after its own."""
    if study.variants:
        return [run for variant in study.expanded() for run in _plan_of(variant, plan_full)]
    batches = study_batches(study)
    half_life_tokens = study.schedule.half_life_tokens
    half_life = None if half_life_tokens is None else half_life_tokens / study.training.batch_tokens
    warmup = -(-study.schedule.warmup_tokens // study.training.batch_tokens)
    found = []
    for size in study.ladder.sizes:
        shape = study.shape(size)
        for seed, horizons in study.trunks(size):
            for entry in study.full:
                if not entry.applies(size.label, seed):
                    continue
                tokens = horizons if entry.horizons is None else sorted(entry.horizons)
                ends = [_step(each, batches, "horizon", size.label) for each in tokens]
                try:
                    schedules = list(_whole_schedules(entry, ends, warmup, study.schedule.spec(), half_life))
                except InputError as error:
                    raise InputError(f"entry {entry.name!r}, size {size.label!r}: {error}") from None
                for schedule, its_ends in schedules:
                    found.append(Scratch(shape, seed, batches, schedule, its_ends, entry.name))
    return sorted(_each_once(found), key=lambda run: (run.shape.params, run.seed))


def _each_once(runs: list[Scratch]) -> list[Scratch]:
    """Runs of one schedule are one run: Cosine(T = 1M) is finished at 1M, and at 512k it is a run with T = 2·S.

    Raises InputError where two entries ask for the same model.
    """
    found: dict[tuple[Shape, int, Schedule], Scratch] = {}
    for run in runs:
        key = (run.shape, run.seed, run.schedule)
        first = found.get(key)
        if first is None:
            found[key] = run
            continue
        if {*first.ends} & {*run.ends}:
            raise InputError(
                f"entries {first.recipe!r} and {run.recipe!r} of full train size {run.shape.name!r} under the same "
                "schedule to the same horizon; let them differ, or leave one out"
            )
        found[key] = replace(
            first,
            ends=tuple(sorted({*first.ends, *run.ends})),
            others=(*first.others, *((end, run.recipe) for end in run.ends)),
        )
    return list(found.values())


def _plan_of(variant: Variant, planner: Callable[[Study], list[Planned]]) -> list[Planned]:
    try:
        return planner(variant.study)
    except InputError as error:
        raise InputError(f"variant {variant.name}: {error}" if variant.name else str(error)) from None


def study_batches(study: Study) -> Batches:
    """The trunks' batches. Raises InputError when the ramp begins between two updates."""
    batches = Batches(study.training.batch_tokens)
    for i, entry in enumerate(study.training.batch_ramp):
        before = study.training.batch_ramp[i - 1].from_tokens if i else 0
        if entry.from_tokens <= before:
            raise InputError(
                f"training.batch_ramp[{i}].from_tokens: {entry.from_tokens} does not lie beyond {before}; name each "
                "point once, in order"
            )
        if entry.from_tokens < study.schedule.warmup_tokens:
            raise InputError(
                f"training.batch_ramp[{i}].from_tokens: {entry.from_tokens} lies inside the warmup of "
                f"{study.schedule.warmup_tokens} tokens; begin the ramp after it"
            )
        step = _step(entry.from_tokens, batches, f"training.batch_ramp[{i}].from_tokens", "")
        batches = Batches(batches.tokens, (*batches.ramp, (step, entry.batch_tokens)))
    return batches


def _branch(
    study: Study,
    entry: Branches | None,
    spec: DecaySpec,
    half_life_tokens: int | None,
    tokens: int,
    trunk: Batches,
    warmup: int,
    size: str,
) -> Branch:
    """The branch of one recipe that ends at `tokens`."""
    recipe, own = ("", None) if entry is None else (entry.name, entry.batch_tokens)
    if own is None:
        end = _step(tokens, trunk, "horizon", size)
        fork = end - max(1, round(spec.share * end))
        if trunk.ramp:  # a share of tokens is not one of updates
            fork = min(trunk.nearest_step(round((1.0 - spec.share) * tokens)), end - 1)
        batches = trunk
    else:
        # the fork lies between two updates of the trunk, and whole batches of the branch follow it
        unit = math.lcm(trunk.at(trunk.nearest_step(tokens)), own)
        length = max(1, round(spec.share * tokens / unit)) * unit
        fork = 0
        if length < tokens:
            fork = _step(tokens - length, trunk, f"fork of recipe {recipe} to {tokens}", size)
        end = fork + length // own
        batches = trunk.forked(fork, own)
    if fork < 1:
        raise InputError(f"horizon {tokens} of size {size!r} leaves no update before its decay")
    if half_life_tokens is not None and any(fork < step < end for step, _ in batches.ramp):
        raise InputError(
            f"horizon {tokens} of size {size!r}: the batch changes inside a decay with a half-life, which is then no "
            "number of updates; leave out half_life_tokens, or end the ramp before"
        )
    half_life = None if half_life_tokens is None else half_life_tokens / batches.at(fork)
    if fork < warmup:
        raise InputError(
            f"horizon {tokens} of size {size!r}: its decay begins at {trunk.tokens_at(fork)} tokens, inside the warmup "
            f"of {study.schedule.warmup_tokens} (schedule.warmup_tokens); use a longer horizon, a shorter decay or a "
            "shorter warmup"
        )
    schedule = WSD(warmup, Decay(spec.shape, fork, end - fork, spec.floor, half_life))
    return Branch(
        fork, end, schedule, batches, recipe, _changes(entry, study), _after(entry, tokens, batches, size)
    )


def _after(entry: Branches | None, tokens: int, batches: Batches, size: str) -> tuple[int, ...]:
    """The steps at which a branch is measured beyond its decay."""
    if entry is None or entry.after is None:
        return ()
    return tuple(
        _step(tokens + more, batches, f"after of recipe {entry.name}:", size)
        for more in sorted(entry.after.tokens)
    )


def _merge(study: Study, entry: Merges, tokens: int, batches: Batches, warmup: int, size: str) -> Branch:
    """The average that stands in for a decay to `tokens`."""
    spec = entry.spec(study.schedule.spec())
    own = Branches(name=entry.name)
    branch = _branch(study, own, spec, None, tokens, batches, warmup, size)
    length, count = branch.steps, entry.checkpoints - 1
    if length < count:
        raise InputError(
            f"merge {entry.name!r} to {tokens} tokens of size {size!r} averages {entry.checkpoints} checkpoints over "
            f"{length} updates; ask for at most {length + 1}, or for a larger decay_share"
        )
    averaged = tuple(branch.fork + round(i * length / count) for i in range(count + 1))
    return replace(branch, averaged=averaged)


def _changes(entry: Branches | None, study: Study) -> Changes:
    """What an entry alters; a key that repeats the trunk's value alters nothing."""
    if entry is None:
        return Changes()
    weights = None
    if entry.weights is not None:
        weights = tuple((name, weight) for name, weight in entry.weights.items() if weight > 0)
    keys = ("weight_decay", "beta1", "beta2", "clip")
    own = {key: getattr(entry, key) for key in keys if getattr(entry, key) != getattr(study.training, key)}
    after = None
    if entry.after is not None and entry.after.weights is not None:
        after = tuple((name, weight) for name, weight in entry.after.weights.items() if weight > 0)
    return Changes(**own, weights=weights, after=after)


def _whole_schedules(
    entry: Full, ends: list[int], warmup: int, spec: DecaySpec, half_life: float | None
) -> Iterator[tuple[Schedule, tuple[int, ...]]]:
    """The schedules of an entry, each with the steps at which a model of it is finished."""
    if entry.schedule == "constant":
        yield Constant(warmup), tuple(ends)
    elif entry.schedule == "noam":
        yield Noam(warmup), tuple(ends)
    elif entry.schedule == "wsd-s":
        decays = (spec.decay(end) for end in ends)
        yield WSDS(warmup, tuple(replace(each, half_life=half_life) for each in decays)), tuple(ends)
    else:
        kind: Any = {"cosine": Cosine, "cosine-loop": CosineLoop, "linear": Linear}[entry.schedule]
        own = {} if entry.floor is None else {"floor": entry.floor}
        for end in ends:
            yield kind(warmup, max(1, round(entry.period_share * end)), **own), (end,)


def _step(tokens: int, batches: Batches, what: str, size: str) -> int:
    """The update after which so many tokens are seen. Raises InputError naming the nearest."""
    step = batches.step_at(tokens)
    if step is None or step < 1:
        near = batches.nearest_step(tokens)
        below = near if batches.tokens_at(near) < tokens else near - 1
        choices = [batches.tokens_at(each) for each in (below, below + 1) if each > 0]
        where = f" of size {size!r}" if size else ""
        raise InputError(
            f"{what} {tokens}{where} is not a whole number of batches of {batches.at(max(below, 0))} tokens; "
            f"the nearest {'is' if len(choices) == 1 else 'are'} {' and '.join(map(str, choices))}"
        )
    return step
