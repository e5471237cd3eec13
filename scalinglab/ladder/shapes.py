"""Model shapes, and exact counts of their parameters and FLOPs. No torch: planning is free.

A shape is a decoder-only transformer of the Llama/MiniCPM family: RMSNorm, rotary positions,
SwiGLU, causal self-attention, input embedding tied to the output head.
"""

from dataclasses import dataclass

from scalinglab.errors import InputError


@dataclass(frozen=True)
class Shape:
    """One model size. Every count below follows from these numbers.

    `width` is d, the residual stream; `ff` the hidden width of the MLP; `context` the tokens a
    sequence holds, which only the cost of attention depends on.
    """

    name: str
    width: int
    layers: int
    heads: int
    ff: int
    vocab: int = 256
    context: int = 128

    def __post_init__(self) -> None:
        for key in ("width", "layers", "heads", "ff", "vocab", "context"):
            if getattr(self, key) < 1:
                raise InputError(f"size {self.name!r}: {key} must be at least 1, not {getattr(self, key)}")
        if self.width % self.heads or self.head_width % 2:
            raise InputError(
                f"size {self.name!r}: width {self.width} over {self.heads} heads gives no even head width, "
                "which rotary positions need; choose a width divisible by 2 x heads"
            )

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def params_matrices(self) -> int:
        """Weights of the blocks' matrices: per layer q, k, v, o (4 d²) and gate, up, down (3 d·ff)."""
        return self.layers * (4 * self.width**2 + 3 * self.width * self.ff)

    @property
    def params_norms(self) -> int:
        """RMSNorm gains: two a layer and the last one."""
        return (2 * self.layers + 1) * self.width

    @property
    def params(self) -> int:
        """N, non-embedding parameters: the blocks' matrices and the norm gains."""
        return self.params_matrices + self.params_norms

    @property
    def params_embedding(self) -> int:
        """The token embedding, which is also the output head."""
        return self.vocab * self.width

    @property
    def params_total(self) -> int:
        return self.params + self.params_embedding

    @property
    def flops_attention(self) -> float:
        """Training FLOPs a token that attention's scores cost, beyond any weight: 12·layers·context·d.

        All context² scores are formed (the causal mask saves nothing here): q·k and scores·v are 2 · 2·context·d
        forward a token and layer, three times that with the backward pass (Chowdhery et al. 2022, appendix B).
        """
        return 12.0 * self.layers * self.context * self.width

    def flops_6n(self) -> float:
        """Training FLOPs a token by the 6·N rule (Kaplan et al. 2020), N non-embedding."""
        return 6.0 * self.params

    def flops_exact(self) -> float:
        """Training FLOPs a token as executed: matrices, output head and attention.

        A multiply-add is 2 FLOPs and the backward pass costs twice the forward, so a weight costs 6. Norms, rotary
        positions and softmax are left out.
        """
        return 6.0 * (self.params_matrices + self.params_embedding) + self.flops_attention
