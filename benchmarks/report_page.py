"""A report's page: its size, how long it takes to make, and how long a browser takes to load it.

    python benchmarks/report_page.py TABLE_OR_STUDY [--resamples 1000] [--workers N] [--loads 5]

Loading goes from the start of navigation to the first figure that answers (then to the last one), medians over fresh
pages of one headless Chromium without a network. Needs the extras report and dev, and a system's Chromium.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import scalinglab as sl

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FIGURES = "performance.getEntriesByName('figure').map((mark) => mark.startTime)"


def made(source: str, path: Path, resamples: int, workers: int) -> None:
    def seconds(began: tuple[float, float]) -> str:
        return (
            f"{time.perf_counter() - began[0]:.1f} s ({time.process_time() - began[1]:.1f} s of this process)"
        )

    began = time.perf_counter(), time.process_time()
    report = sl.report(source, resamples=resamples, workers=workers)
    print(f"fitted   {len(report.eval_sets)} eval sets x {len(report.laws)} laws in {seconds(began)}")
    began = time.perf_counter(), time.process_time()
    report.html(path)
    print(f"written  {path.stat().st_size / 1e6:.2f} MB in {seconds(began)}")


def loaded(browser: str, path: Path, loads: int) -> list[list[float]]:
    """Seconds until each figure, a list a load."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(loads):
            tab = chromium.new_page(offline=True)
            tab.goto(path.as_uri())
            tab.wait_for_selector("html[data-ready]", state="attached")
            found.append([at / 1e3 for at in tab.evaluate(FIGURES)])
            tab.close()
        chromium.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--loads", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / "report.html"
        made(given.source, path, given.resamples, given.workers)
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is None:
            sys.exit(f"no browser to load it in: install one of {', '.join(BROWSERS)}")
        times = loaded(browser, path, given.loads)
    for name, which in (("first", 0), ("last", -1)):
        each = sorted(load[which] for load in times)
        print(f"{name} figure after {statistics.median(each):.2f} s ({each[0]:.2f} to {each[-1]:.2f} s)")


if __name__ == "__main__":
    main()
