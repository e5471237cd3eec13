"""Model shapes, and exact counts of their parameters and FLOPs. No torch: planning is free.

A shape is a decoder-only transformer of the Llama/MiniCPM family: RMSNorm, rotary positions, causal
self-attention, and an MLP. Query heads may share keys and values, the MLP may be SwiGLU or squared
ReLU, the output head may be the input embedding or a matrix of its own.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from scalinglab.errors import InputError
from scalinglab.ladder.identity import later

Activation = Literal["swiglu", "relu2"]


@dataclass(frozen=True)
class Shape:
    """One model size. Every count below follows from these numbers.

    `width` is d, the residual stream; `ff` the hidden width of the MLP; `context` the tokens a
    sequence holds, which only the cost of attention depends on. Raises InputError for a shape that
    cannot be built.
    """

    name: str
    width: int
    layers: int
    heads: int
    ff: int
    vocab: int = 256
    context: int = 128
    kv_heads: int | None = later(None)
    """Heads of keys and values; each serves heads / kv_heads neighbouring query heads (Ainslie et al. 2023).
    None, which is also what `heads` itself becomes: as many as query heads."""
    tied: bool = later(True)
    """Whether the output head is the input embedding."""
    activation: Activation = later("swiglu")
    """swiglu: down(silu(gate x) · up x) (Shazeer 2020); relu2: down(relu(up x)²), no gate (So et al. 2021)."""

    def __post_init__(self) -> None:
        for key in ("width", "layers", "heads", "ff", "vocab", "context"):
            if getattr(self, key) < 1:
                raise InputError(f"size {self.name!r}: {key} must be at least 1, not {getattr(self, key)}")
        if self.width % self.heads or self.head_width % 2:
            raise InputError(
                f"size {self.name!r}: width {self.width} over {self.heads} heads gives no even head width, "
                "which rotary positions need; choose a width divisible by 2 x heads"
            )
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            divisors = [str(n) for n in range(1, self.heads + 1) if self.heads % n == 0]
            raise InputError(
                f"size {self.name!r}: {self.heads} query heads cannot share kv_heads = {self.kv_heads} evenly; "
                f"choose one of {', '.join(divisors)}"
            )
        if self.activation not in get_args(Activation):
            raise InputError(
                f"size {self.name!r}: activation {self.activation!r} is not known; "
                f"expected one of {', '.join(get_args(Activation))}"
            )
        if self.kv_heads == self.heads:
            # one model, one definition
            object.__setattr__(self, "kv_heads", None)

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def kv_width(self) -> int:
        """Numbers that keys take for one token and layer, and values as many."""
        return (self.kv_heads or self.heads) * self.head_width

    @property
    def mlp_matrices(self) -> int:
        """Matrices of d·ff weights in an MLP: gate, up, down, or up and down alone."""
        return 3 if self.activation == "swiglu" else 2

    def counts(self) -> dict[str, int]:
        """Parameters by component: embedding, attention, mlp, norms and head, which add up to `params_total`.

        A tied head has none of its own.
        """
        d = self.width
        return {
            "embedding": self.vocab * d,
            "attention": self.layers * 2 * (d * d + d * self.kv_width),
            "mlp": self.layers * self.mlp_matrices * d * self.ff,
            "norms": (2 * self.layers + 1) * d,
            "head": 0 if self.tied else self.vocab * d,
        }

    @property
    def params_matrices(self) -> int:
        """Weights of the blocks' matrices: per layer q and o (d² each), k and v (d·kv_width each), and the MLP's."""
        found = self.counts()
        return found["attention"] + found["mlp"]

    @property
    def params_norms(self) -> int:
        """RMSNorm gains: two a layer and the last one."""
        return self.counts()["norms"]

    @property
    def params(self) -> int:
        """N, non-embedding parameters: the blocks' matrices and the norm gains."""
        return self.params_matrices + self.params_norms

    @property
    def params_embedding(self) -> int:
        """The token embedding at the input, which is also the output head where the two are tied."""
        return self.counts()["embedding"]

    @property
    def params_head(self) -> int:
        """The output head's own weights: none where it is tied to the embedding."""
        return self.counts()["head"]

    @property
    def params_total(self) -> int:
        return sum(self.counts().values())

    @property
    def flops_attention(self) -> float:
        """Training FLOPs a token that attention's scores cost, beyond any weight: 12·layers·context·d.

        All context² scores are formed (the causal mask saves nothing here): q·k and scores·v are 2 · 2·context·d
        forward a token and layer, three times that with the backward pass (Chowdhery et al. 2022, appendix B). Sharing
        keys and values saves none of them: every query head forms its own scores.
        """
        return 12.0 * self.layers * self.context * self.width

    def flops_6n(self) -> float:
        """Training FLOPs a token by the 6·N rule (Kaplan et al. 2020), N non-embedding."""
        return 6.0 * self.params

    def flops_exact(self) -> float:
        """Training FLOPs a token as executed: matrices, output head (tied or not) and attention.

        A multiply-add is 2 FLOPs and the backward pass costs twice the forward, so a weight costs 6. Looking up the
        embedding, norms, rotary positions and softmax are left out.
        """
        return 6.0 * (self.params_matrices + self.vocab * self.width) + self.flops_attention
