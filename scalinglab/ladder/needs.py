"""What a run needs of a machine: memory while it trains, disk for what it keeps."""

from scalinglab.ladder.shapes import Shape

_FLOAT = 4  # bytes; everything is held in fp32

LOG_EVERY = 10
"""Updates a metrics record averages over. A run can be stopped at multiples of it."""

EVALUATION_BATCH = 32
"""Sequences measured at once; it bounds memory and has no effect on the figures."""


def state_bytes(shape: Shape) -> int:
    """Of one checkpoint: weights and both moments of AdamW."""
    return 3 * _FLOAT * shape.params_total


def memory_bytes(shape: Shape, batch_tokens: int) -> int:
    """Of weights, gradients and moments, and the larger of training and measuring.

    Training: what a forward pass keeps for the backward pass, and the logits' gradient. Measuring: logits and their
    log-softmax of EVALUATION_BATCH windows. What the allocator, Python and torch take is not in it.
    """
    training = _FLOAT * 2 * shape.vocab * batch_tokens + activation_bytes(shape, batch_tokens)
    measuring = _FLOAT * 2 * shape.vocab * EVALUATION_BATCH * shape.context
    return _FLOAT * 4 * shape.params_total + max(training, measuring)


def activation_bytes(shape: Shape, batch_tokens: int) -> int:
    """Of what an uncompiled forward pass keeps for the backward pass.

    Floats a token, d the width, k that of keys, f the MLP's hidden width: per layer 9·d (the residual stream before and
    after each sub-block's norm and product, queries in three forms and the attention's output), 3·k, the MLP's
    4·f (2·f without a gate), a log-sum-exp a head and two norms' scales; at the ends 3·d, a norm's scale, the
    log-softmax, and ids and targets of 8 bytes each. Sines and cosines once.
    """
    mlp = 4 * shape.ff if shape.activation == "swiglu" else 2 * shape.ff
    layer = 9 * shape.width + 3 * shape.kv_width + mlp + shape.heads + 2
    ends = 3 * shape.width + shape.vocab + 5
    return _FLOAT * (batch_tokens * (shape.layers * layer + ends) + 2 * shape.context * shape.head_width)
