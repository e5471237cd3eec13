"""What a run is: everything that decides its numbers, and the identity that follows from it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from scalinglab.errors import InputError
from scalinglab.ladder.batches import Batches
from scalinglab.ladder.decay import Decay
from scalinglab.ladder.identity import digest, later, plain
from scalinglab.ladder.parametrisation import Scaling
from scalinglab.ladder.plan import Branch, Scratch, Trunk
from scalinglab.ladder.schedule import WSD, Schedule
from scalinglab.ladder.schedule_kinds import schedule_of
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.study import Study

MATHS = 1
"""Raised whenever a change of the code alters what training computes, so that old runs stay apart."""

MATHS_CHANGES = {1: "the first version"}
"""What each version of the maths computes otherwise than the one before."""

Weights = tuple[tuple[str, float], ...]
"""Source name and weight, in the order samples are drawn."""


@dataclass(frozen=True)
class Run:
    """One trunk, branch or whole run. Two runs with equal definitions compute the same bits.

    A trunk's definition does not say how far it goes: nothing on it depends on a horizon.
    """

    kind: Literal["trunk", "branch", "full", "merge"]
    shape: Shape
    seed: int
    data: str
    """Fingerprint of the corpus."""
    weights: Weights
    """Every source of the corpus, which are also the held-out sets."""
    batch_tokens: int
    lr: float
    weight_decay: float
    betas: tuple[float, float]
    clip: float
    parametrisation: str
    width_base: int
    heldout_windows: int
    schedule: Schedule
    parent: str | None = None
    """Id of the trunk a branch forks from, at its decay's first step."""
    maths: int = MATHS
    ramp: tuple[tuple[int, int], ...] = later(())
    """(from step, batch in tokens): a trunk's batch ramp, and a branch's own batch from its fork on."""
    mixtures: tuple[tuple[int, Weights], ...] = later(())
    """(from step, weights): a branch's own mixture from its fork on, and that of what follows its decay."""
    scaling: Scaling = later(Scaling())
    optimiser: str = later("adamw")
    compiled: bool = later(False)
    """Compiled code rounds otherwise than uncompiled, so it is another run."""
    precision: str = later("fp32")
    """Of matrix products: fp32 or bf16."""
    averaged: tuple[int, ...] = later(())
    """Of a merge: the steps of its trunk whose states are averaged as its schedule's decay would weigh them."""

    @property
    def id(self) -> str:
        """Readable, and unique by content: size, seed, what it is, and a hash of the definition."""
        what = self.kind if self.kind != "full" else self.schedule.name.replace("/", "-")
        if self.kind in ("branch", "merge"):
            what = f"{'d' if self.kind == 'branch' else 'm'}{self.batches.tokens_at(self.end)}"
        return f"{self.shape.name}-s{self.seed}-{what}-{digest(self.definition())}"

    @property
    def batches(self) -> Batches:
        return Batches(self.batch_tokens, self.ramp)

    @property
    def start(self) -> int:
        """Updates finished when the run begins: 0, but for a branch, whose first is at its fork; a merge has none."""
        if self.kind == "merge":
            return self.end
        return self.fork if self.kind == "branch" else 0

    @property
    def fork(self) -> int:
        """Updates finished at the first of the decay. Of a branch alone."""
        return self._decay.start

    @property
    def end(self) -> int:
        """Updates at the end of a branch's decay, and of what a merge stands in for. Others have none of their own."""
        return self._decay.end

    @property
    def _decay(self) -> Decay:
        if (
            self.kind not in ("branch", "merge")
            or not isinstance(self.schedule, WSD)
            or self.schedule.decay is None
        ):
            raise ValueError(f"a {self.kind} has no decay of its own")
        return self.schedule.decay

    def definition(self) -> dict[str, Any]:
        """As plain JSON values; the size's name is a label and not part of it."""
        found = plain(self)
        del found["shape"]["name"]
        return found

    def branch(self, branch: Branch) -> "Run":
        """The branch of this trunk. Raises InputError when its mixture names a source that the corpus lacks."""
        own = branch.changes
        mixtures = []
        for step, given in ((branch.fork, own.weights), (branch.end, own.after)):
            if given is not None:
                mixtures.append((step, self._mixture(given, branch)))
        return replace(
            self,
            kind="merge" if branch.averaged else "branch",
            averaged=branch.averaged,
            schedule=branch.schedule,
            parent=self.id,
            ramp=branch.batches.ramp,
            mixtures=tuple(mixtures),
            weight_decay=self.weight_decay if own.weight_decay is None else own.weight_decay,
            betas=(
                self.betas[0] if own.beta1 is None else own.beta1,
                self.betas[1] if own.beta2 is None else own.beta2,
            ),
            clip=self.clip if own.clip is None else own.clip,
        )

    def _mixture(self, given: Weights, branch: Branch) -> Weights:
        known = [name for name, _ in self.weights]
        unknown = [name for name, _ in given if name not in known]
        if unknown:
            raise InputError(
                f"the branch {branch.recipe or 'to ' + str(branch.end)} weighs source {unknown[0]!r}; "
                f"the study's sources are {', '.join(known)}"
            )
        if not any(weight for _, weight in given):
            raise InputError(
                f"the branch {branch.recipe or 'to ' + str(branch.end)} gives every source the weight 0; "
                "give one a weight above 0"
            )
        return tuple((name, dict(given).get(name, 0.0)) for name in known)


def run_of(definition: dict[str, Any], name: str) -> Run:
    """The run whose `definition()` this is; `name` is its size's label.

    Raises InputError for a definition that this version cannot read.
    """
    given = dict(definition)
    try:
        given["shape"] = Shape(name=name, **given["shape"])
        given["schedule"] = schedule_of(given["schedule"])
        given["weights"] = _weights(given["weights"])
        given["betas"] = tuple(given["betas"])
        if "ramp" in given:
            given["ramp"] = tuple((step, tokens) for step, tokens in given["ramp"])
        if "mixtures" in given:
            given["mixtures"] = tuple((step, _weights(weights)) for step, weights in given["mixtures"])
        if "averaged" in given:
            given["averaged"] = tuple(given["averaged"])
        if "scaling" in given:
            given["scaling"] = Scaling(**given["scaling"])
        return Run(**given)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"the definition of a run of size {name} is not one that this version can read ({error})"
        ) from None


def _weights(given: Any) -> Weights:
    return tuple((name, weight) for name, weight in given)


def root_run(
    study: Study, planned: Trunk | Scratch, data: str, weights: Weights, compiled: bool | None = None
) -> Run:
    """The definition of a planned trunk, or of a run from scratch, on a given corpus.

    compiled: what was chosen where the study leaves it open.
    """
    settings, model = study.training, study.model
    return Run(
        kind="trunk" if isinstance(planned, Trunk) else "full",
        shape=planned.shape,
        seed=planned.seed,
        data=data,
        weights=weights,
        batch_tokens=planned.batches.tokens,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        betas=(settings.beta1, settings.beta2),
        clip=settings.clip,
        parametrisation=model.parametrisation,
        width_base=model.width_base,
        heldout_windows=study.data.heldout_windows,
        schedule=planned.schedule,
        ramp=planned.batches.ramp,
        scaling=Scaling(model.scale_emb, model.scale_depth, model.init_std, model.embedding_as),
        optimiser=settings.optimiser,
        compiled=settings.compile is True if compiled is None else compiled,
        precision=settings.precision,
    )
