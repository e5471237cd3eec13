"""What a run needs of a machine: memory while it trains, disk for what it keeps."""

from scalinglab.ladder.shapes import Shape

_FLOAT = 4  # bytes; everything is held in fp32


def state_bytes(shape: Shape) -> int:
    """Of one checkpoint: weights and both moments of AdamW."""
    return 3 * _FLOAT * shape.params_total


def memory_bytes(shape: Shape, batch_tokens: int) -> int:
    """Of weights, gradients, moments, and the activations that a backward pass needs.

    Kept for each token (floats, d the width, f the MLP's hidden width, k the width of keys): per layer the residual
    stream twice, two norms and their inputs' scale, q, k, v before and after rotation, the attention's output and its
    log-sum-exp, and what the MLP multiplies; at the end the logits and their softmax. An estimate: the allocator's
    own overhead is not in it.
    """
    d, f, k = shape.width, shape.ff, shape.kv_width
    mlp = 4 * f if shape.activation == "swiglu" else 3 * f
    layer = 4 * d + 2 + (d + 2 * k) + 2 * (d + k) + d + shape.heads + mlp
    ends = 2 * d + 2 * shape.vocab
    return _FLOAT * (4 * shape.params_total + batch_tokens * (shape.layers * layer + ends))
