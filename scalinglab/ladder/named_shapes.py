"""Shapes by name: MiniCPM's, and tiny ones that learn from bytes on a laptop."""

import difflib

from scalinglab.errors import InputError
from scalinglab.ladder.shapes import Shape

BYTES = 256
"""Vocabulary of the tiny shapes."""

_MINICPM_VOCAB = 122_753  # of the 2.4B product; table 8 prints none for its rows

# d, layers, heads, kv_heads (None: as many as heads), ff, vocabulary
_ROWS: dict[str, tuple[int, int, int, int | None, int, int]] = {
    # about the N that they are named after, non-embedding; the first four are the quickstart's
    "tiny-10k": (20, 2, 2, None, 56, BYTES),
    "tiny-20k": (28, 2, 2, None, 80, BYTES),
    "tiny-47k": (44, 2, 2, None, 120, BYTES),
    "tiny-100k": (64, 2, 2, None, 176, BYTES),
    "tiny-200k": (72, 3, 4, None, 208, BYTES),
    "tiny-500k": (104, 4, 4, None, 264, BYTES),
    "tiny-1m": (128, 5, 4, None, 352, BYTES),
    # MiniCPM (Hu et al. 2024, arXiv 2404.06395), table 8, under the names printed there
    "minicpm-9m": (320, 8, 5, None, 800, _MINICPM_VOCAB),
    "minicpm-30m": (512, 12, 8, None, 1280, _MINICPM_VOCAB),
    "minicpm-70m": (640, 14, 10, None, 1600, _MINICPM_VOCAB),
    "minicpm-0.1b": (768, 16, 12, None, 1920, _MINICPM_VOCAB),
    "minicpm-0.17b": (896, 18, 14, None, 2240, _MINICPM_VOCAB),
    "minicpm-0.2b": (1024, 20, 16, None, 2560, _MINICPM_VOCAB),
    "minicpm-0.5b": (1344, 24, 21, None, 3360, _MINICPM_VOCAB),
    # the two products
    "minicpm-1.2b": (1536, 52, 24, 8, 3840, 73_440),
    "minicpm-2.4b": (2304, 40, 36, None, 5760, _MINICPM_VOCAB),
}

NAMED_SHAPES = tuple(_ROWS)
"""The known names, tiny ones first, each family by size."""


def named_shape(name: str, vocab: int | None = None, context: int = 128) -> Shape:
    """The shape of a name, with its own vocabulary or another one, for sequences of `context` tokens.

    Raises InputError for a name that is not known.
    """
    if name not in _ROWS:
        near = difflib.get_close_matches(name.lower(), _ROWS, n=3, cutoff=0.5)
        hint = f"near it: {', '.join(near)}" if near else f"known: {', '.join(_ROWS)}"
        raise InputError(f"no shape is named {name!r}; {hint}")
    width, layers, heads, kv_heads, ff, own = _ROWS[name]
    return Shape(name, width, layers, heads, ff, own if vocab is None else vocab, context, kv_heads)
