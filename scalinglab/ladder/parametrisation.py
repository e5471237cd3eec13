"""How a size's initialisation, learning rates and multipliers follow from its width and depth.

`minicpm`: MiniCPM's width and depth scaling (Hu et al. 2024, table 7, after Tensor Programs V and
VI), with which the best learning rate is meant to stay put as the model grows:

    embedding output      x scale_emb = 12
    residual branches     x scale_depth / sqrt(layers), scale_depth = 1.4
    init of matrices      std = 0.1 / sqrt(d / d_base); embedding 0.1
    lr of matrices        x 1 / (d / d_base)
    logits                x 1 / (d / d_base)

The paper leaves open whether embedding and head are such matrices; by default, as in standard muP,
they are not (`Scaling.embedding_as`). Its table is for Adam. Under Muon the matrices' rate falls
with the root of the width: its update has full rank, so with entries of one size its largest
singular value grows as sqrt(d), where Adam's, aligned with the activations, grows as d, and it is
that value which has to stay (Yang, Simon & Bernstein 2023, "A spectral condition for feature learning").
`standard`: init 0.02 (projections into the residual stream divided by sqrt(2·layers)), one learning
rate, no multipliers (GPT-2, Radford et al. 2019).
"""

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from scalinglab.errors import InputError
from scalinglab.ladder.shapes import Shape

Kind = Literal["minicpm", "standard"]
EmbeddingAs = Literal["vector", "matrix"]
OptimiserKind = Literal["adamw", "muon"]


@dataclass(frozen=True)
class Scaling:
    """Constants of MiniCPM's scaling, and what the paper leaves open. Raises InputError for others than these."""

    scale_emb: float = 12.0
    scale_depth: float = 1.4
    init_std: float = 0.1
    """Standard deviation of every drawn tensor at width d_base."""
    embedding_as: EmbeddingAs = "vector"
    """vector: embedding and head keep init_std and the learning rate at every width, standard muP.
    matrix: both follow the 2-D rule, the table taken literally. Neither decays in either case."""

    def __post_init__(self) -> None:
        for key in ("scale_emb", "scale_depth", "init_std"):
            value = getattr(self, key)
            if not (value > 0 and math.isfinite(value)):
                raise InputError(f"scaling: {key} must be a positive number, not {value}")
        if self.embedding_as not in get_args(EmbeddingAs):
            raise InputError(
                f"scaling: embedding_as must be one of {', '.join(get_args(EmbeddingAs))}, not {self.embedding_as!r}"
            )


@dataclass(frozen=True)
class Parametrisation:
    """Multipliers and standard deviations of one size. Norm gains start at 1."""

    std_embedding: float
    """Of the embedding, and of the head where it has weights of its own."""
    std_matrix: float
    std_residual: float
    """Of the matrices that write into the residual stream: attention output and MLP down."""
    lr_embedding: float
    """Times the study's learning rate, as `lr_matrix`; gains take the rate itself."""
    lr_matrix: float
    scale_embedding: float
    scale_residual: float
    scale_logits: float


def parametrise(
    kind: str,
    shape: Shape,
    width_base: int,
    scaling: Scaling = Scaling(),
    optimiser: str = "adamw",
) -> Parametrisation:
    """The parametrisation of a shape; `kind` and `optimiser` as in the study file.

    Raises InputError for an unknown kind or optimiser, and for a scaling that `standard` would leave unused.
    """
    for what, name, known in (
        ("parametrisation", kind, get_args(Kind)),
        ("optimiser", optimiser, get_args(OptimiserKind)),
    ):
        if name not in known:
            raise InputError(f"the {what} {name!r} is not known; expected one of {', '.join(known)}")
    if kind == "minicpm":
        ratio = shape.width / width_base
        std = scaling.init_std / math.sqrt(ratio)
        vector = scaling.embedding_as == "vector"
        return Parametrisation(
            std_embedding=scaling.init_std if vector else std,
            std_matrix=std,
            std_residual=std,
            lr_embedding=1.0 if vector else 1.0 / ratio,
            lr_matrix=1.0 / ratio if optimiser == "adamw" else 1.0 / math.sqrt(ratio),
            scale_embedding=scaling.scale_emb,
            scale_residual=scaling.scale_depth / math.sqrt(shape.layers),
            scale_logits=1.0 / ratio,
        )
    if scaling != Scaling():
        own = [each.name for each in fields(scaling) if getattr(scaling, each.name) != each.default]
        raise InputError(
            f"the standard parametrisation has no {', '.join(own)}; leave the scaling out, or choose minicpm"
        )
    std = 0.02
    return Parametrisation(
        std_embedding=std,
        std_matrix=std,
        std_residual=std / math.sqrt(2 * shape.layers),
        lr_embedding=1.0,
        lr_matrix=1.0,
        scale_embedding=1.0,
        scale_residual=1.0,
        scale_logits=1.0,
    )


@dataclass(frozen=True)
class TensorRule:
    """What one tensor of the model is, and how it starts and learns."""

    size: tuple[int, ...]
    std: float | None
    """Of its initial normal draws; None for a gain, which starts at 1."""
    lr: float
    """Times the study's learning rate."""
    decays: bool
    """Whether weight decay applies."""
    parts: tuple[int, ...] = ()
    """Rows of the separate matrices that lie stacked in a block's tensor; empty outside the blocks."""


def tensor_rules(shape: Shape, scales: Parametrisation) -> dict[str, TensorRule]:
    """Every tensor of a model by name, in the order in which it is laid out: blocks' matrices, then the rest.

    MiniCPM decays the matrices; gains, embedding and head are left alone.
    """
    d, ff, kv = shape.width, shape.ff, shape.kv_width

    def matrix(std: float, columns: int, *parts: int) -> TensorRule:
        return TensorRule((sum(parts), columns), std, scales.lr_matrix, True, parts)

    gain = TensorRule((d,), None, 1.0, False)
    table = TensorRule((shape.vocab, d), scales.std_embedding, scales.lr_embedding, False)
    found: dict[str, TensorRule] = {}
    for i in range(shape.layers):
        found[f"layer{i}.qkv"] = matrix(scales.std_matrix, d, d, kv, kv)
        found[f"layer{i}.out"] = matrix(scales.std_residual, d, d)
        if shape.activation == "swiglu":
            found[f"layer{i}.gate_up"] = matrix(scales.std_matrix, d, ff, ff)
        else:
            found[f"layer{i}.up"] = matrix(scales.std_matrix, d, ff)
        found[f"layer{i}.down"] = matrix(scales.std_residual, ff, d)
    found["embedding"] = table
    if not shape.tied:
        found["head"] = table
    found["norm"] = gain
    for i in range(shape.layers):
        found[f"layer{i}.norm_attention"] = gain
        found[f"layer{i}.norm_mlp"] = gain
    return found
