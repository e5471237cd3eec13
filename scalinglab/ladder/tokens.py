"""What a study's tokens are, as far as planning needs to know: how many there are."""

import json
import re
from pathlib import Path
from typing import Any

from scalinglab.errors import InputError

BYTES = "bytes"
FEWEST, MOST = 257, 1 << 16
"""Of a BPE that is trained here: the bytes and one merge, and what two bytes hold."""


def bpe_vocabulary(tokens: str) -> int | None:
    """How many tokens "bpe-4096" means; None of what is no such name.

    Raises InputError for a number that cannot be.
    """
    found = re.fullmatch(r"bpe-(\d+)", tokens)
    if found is None:
        return None
    count = int(found[1])
    if not FEWEST <= count <= MOST:
        raise InputError(
            f'tokens = "{tokens}": a vocabulary trained here has {FEWEST} to {MOST} tokens, such as "bpe-4096"'
        )
    return count


def check_tokens(tokens: str) -> None:
    """Raises InputError for what is neither "bytes", "bpe-N" nor the path of a tokenizer's file."""
    if tokens != BYTES and bpe_vocabulary(tokens) is None and not tokens.endswith(".json"):
        raise InputError(
            f'tokens = "{tokens}": expected "bytes", "bpe-4096" or another number, or the path of a tokenizer.json'
        )


def read_tokenizer_file(path: Path) -> dict[str, Any]:
    """A file as the library `tokenizers` writes it, with its `model` and `added_tokens`.

    Raises InputError naming the file.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); tokens names a tokenizer.json"
        ) from None
    except ValueError:
        found = None
    model = found.get("model") if isinstance(found, dict) else None
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(found, dict) or not isinstance(vocab, dict | list) or not vocab:
        raise InputError(f"{path}: is not a tokenizer.json, the file that the library `tokenizers` saves")
    found["added_tokens"] = found.get("added_tokens") or []
    if not isinstance(found["added_tokens"], list) or not all(map(_is_added, found["added_tokens"])):
        raise InputError(f"{path}: each of its added_tokens needs a `content` of text and a whole `id`")
    return found


def _is_added(token: Any) -> bool:
    return (
        isinstance(token, dict)
        and isinstance(token.get("content"), str)
        and isinstance(token.get("id"), int)
        and token["id"] >= 0
    )


def vocabulary_of(file: dict[str, Any], path: Path) -> int:
    """How many rows an embedding needs for a tokenizer: its largest id and one."""
    vocab = file["model"]["vocab"]
    ids = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
    try:
        return 1 + max([*ids, *(each["id"] for each in file["added_tokens"])])
    except (KeyError, TypeError):
        raise InputError(f"{path}: its vocabulary is not a table of tokens and ids") from None
