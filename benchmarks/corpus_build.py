"""Text into shards: seconds, peak memory, and equal bytes after a kill half-way.

    python benchmarks/corpus_build.py [MEGABYTES [FOLDER_OF_TXT]]

Without a folder the text is the standard library's, over and over, with every line numbered so that no document and no
paragraph stands twice. Each build is a process of its own; another one is killed (SIGKILL) in the middle of reading, of
writing and of encoding, goes on each time, and must end in the same sha256.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scalinglab.corpus import documents

_BUILD = """
import json, os, resource, signal, sys, time
from pathlib import Path
from scalinglab import corpus
text, cache, tokens, kill = sys.argv[1:]
def progress(name, done, total):
    if kill and name.endswith(kill) and done >= total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
import numpy
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
built = corpus.build(Path(text), cache, tokens=tokens, progress=progress)
print(json.dumps({"wall": time.perf_counter() - began, "before": before,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    "files": [str(p.path) for f in built.files.values() for p in (*f.train, *f.heldout)],
    "tokens": sum(m[part]["tokens"] for m in built.manifests.values() for part in ("train", "heldout"))}))
"""


def make(folder: Path, size: float) -> None:
    """Numbered copies of the standard library, in files of about 50 kB, of `size` bytes in all."""
    folder.mkdir()
    written, number = 0, 0
    while written < size:
        for path in documents.standard_library_paths():
            text = path.read_text("utf-8", "ignore")
            for at in range(0, len(text), 50_000):
                lines = text[at : at + 50_000].splitlines()
                data = "\n".join(
                    f"{line}  # {number}.{i}" if line.strip() else line for i, line in enumerate(lines)
                )
                (folder / f"{number:06}.txt").write_text(data, "utf-8")
                number, written = number + 1, written + len(data)
            if written >= size:
                return


def run(text: Path, cache: Path, tokens: str, kill: str = "") -> dict:
    ended = subprocess.run(
        [sys.executable, "-c", _BUILD, str(text), str(cache), tokens, kill], stdout=subprocess.PIPE, text=True
    )
    return {} if kill and ended.returncode == -9 else json.loads(ended.stdout)


def digest(found: dict) -> str:
    """Of all files, read a block at a time: a child's peak begins with what its parent takes."""
    total = hashlib.sha256()
    for path in found["files"]:
        with open(path, "rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]


def main() -> None:
    size = float(sys.argv[1]) * 1e6 if len(sys.argv) > 1 else 100e6
    with tempfile.TemporaryDirectory() as place:
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(place, "text")
        if len(sys.argv) < 3:
            make(folder, size)
        total = sum(path.stat().st_size for path in folder.rglob("*.txt"))
        print(
            f"{total / 1e6:.1f} MB in {len(list(folder.rglob('*.txt')))} files; "
            f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        for tokens, kills in (("bytes", ("reading", "writing")), ("bpe-4096", ("tokens",))):
            # what precedes the tokens is built: encoding and the training of the BPE are timed
            whole = run(folder, Path(place, "one"), tokens)
            killed = 0
            for kill in kills:
                killed += not run(folder, Path(place, "two"), tokens, kill)
            began = time.perf_counter()
            again = run(folder, Path(place, "two"), tokens)
            equal = digest(whole) == digest(again)
            print(
                f"{tokens:9} {whole['wall']:6.1f} s, peak {whole['peak'] / 1024:.0f} MB "
                f"({whole['before'] / 1024:.0f} before), "
                f"{total / whole['tokens']:.2f} bytes a token; killed {killed} times, the rest took "
                f"{time.perf_counter() - began:.1f} s, bytes {'equal' if equal else 'DIFFER'} ({digest(again)})"
            )
    print(
        f"children's peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB; "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
