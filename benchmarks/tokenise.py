"""Encoding one text by two libraries with the same vocabulary: seconds, their ratio, and whether the ids are equal.

    python benchmarks/tokenise.py [MEGABYTES [VOCABULARY]]

The text is the interpreter's own standard library; both libraries use every core. The lower of two times counts.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from scalinglab import corpus
from scalinglab.corpus.tokeniser import Tokeniser


def timed(what: Callable[[], Any]) -> tuple[float, float, Any]:
    """(wall, CPU) seconds of the quicker of two calls, and what it gave."""
    found = []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        given = what()
        found.append((time.perf_counter() - wall, time.process_time() - cpu, given))
    return min(found, key=lambda each: each[0])


def main() -> None:
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    vocab = sys.argv[2] if len(sys.argv) > 2 else "4096"
    with tempfile.TemporaryDirectory() as cache:
        built = corpus.build("stdlib", cache, tokens=f"bpe-{vocab}")
        assert built.tokens.file is not None
        data = (built.folders["python"] / "train.bin").read_bytes()[: int(size * 1e6)]
        texts = [each.decode("utf-8", "ignore") for each in data.split(corpus.SEPARATOR)]
        ours, library = Tokeniser(built.tokens.file, trained_here=True), Tokeniser(built.tokens.file)
        ours.encode(texts[:1]), library.encode(texts[:1])
        quick, slow = timed(lambda: ours.encode(texts)), timed(lambda: library.encode(texts))
    same = all((a == b).all() for a, b in zip(quick[2], slow[2], strict=True))
    count = sum(map(len, quick[2]))
    print(
        f"{len(data) / 1e6:.1f} MB, vocabulary {vocab}: {len(data) / count:.2f} bytes a token; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"tiktoken    {quick[0]:6.2f} s, {quick[1]:6.2f} s CPU")
    print(f"tokenizers  {slow[0]:6.2f} s, {slow[1]:6.2f} s CPU")
    print(
        f"ratio       {slow[0] / quick[0]:6.2f}    {slow[1] / quick[1]:6.2f}; ids {'equal' if same else 'DIFFER'}"
    )


if __name__ == "__main__":
    main()
