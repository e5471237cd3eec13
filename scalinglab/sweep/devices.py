"""Which GPUs torch can use here, found without importing torch."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

_COUNT = "import torch; print(torch.cuda.device_count())"


@functools.cache
def visible_devices() -> tuple[str, ...]:
    """GPUs by the names that CUDA_VISIBLE_DEVICES takes; none where torch cannot use them.

    Torch itself is asked, in a process of its own, and only where a driver shows that there may be any.
    """
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None and allowed.strip() in ("", "-1"):
        return ()
    driver = Path("/proc/driver/nvidia").exists() or Path("/dev/kfd").exists()
    if not driver and shutil.which("nvidia-smi") is None:
        return ()
    asked = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=False)
    count = int(asked.stdout.strip() or 0) if asked.returncode == 0 else 0
    named = map(str, range(count)) if allowed is None else (name.strip() for name in allowed.split(","))
    return tuple(named)[:count]
