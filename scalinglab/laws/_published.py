"""Published laws of model size and tokens, with their constants as printed."""

from collections.abc import Mapping
from dataclasses import dataclass

from scalinglab.laws._chinchilla import Chinchilla, MiniCPM


@dataclass(frozen=True)
class PublishedLaw:
    """A law somebody printed. `printed`: name -> constant, digit by digit as in the source."""

    title: str
    source: str
    law: Chinchilla
    printed: Mapping[str, str]

    @property
    def constants(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.printed.items()}


def _minicpm(eval_set: str, *printed: str) -> PublishedLaw:
    names = ("C_N", "alpha", "C_D", "beta", "L0")
    return PublishedLaw(
        f"MiniCPM 2024, {eval_set}",
        "Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4.5 and figure 10",
        MiniCPM(),
        dict(zip(names, printed, strict=True)),
    )


PUBLISHED: dict[str, PublishedLaw] = {
    "hoffmann": PublishedLaw(
        "Hoffmann 2022",
        "Hoffmann et al. 2022, arXiv 2203.15556, appendix D.3",
        Chinchilla(),
        {"E": "1.69", "A": "406.4", "B": "410.7", "alpha": "0.34", "beta": "0.28"},
    ),
    "besiroglu": PublishedLaw(
        "Hoffmann 2022, re-fitted 2024",
        "Besiroglu et al. 2024, arXiv 2404.10102",
        Chinchilla(),
        {"E": "1.81686", "A": "482.006", "B": "2085.434", "alpha": "0.34781", "beta": "0.36585"},
    ),
    "llama3": PublishedLaw(
        "Llama 3, fitted 2026",
        "runs of the Llama 3 paper (arXiv 2407.21783), fitted by Czech et al. 2026, arXiv 2603.22339",
        Chinchilla(),
        {"E": "0.6047", "A": "59.14", "B": "155.11", "alpha": "0.31001", "beta": "0.31364"},
    ),
    "minicpm-code": _minicpm("code", "0.0332", "0.37", "0.217", "0.34", "0.17"),
    "minicpm-english": _minicpm("English Wikihow", "0.0808", "0.26", "0.297", "0.18", "0.27"),
    "minicpm-chinese": _minicpm("Chinese Wikihow", "0.0514", "0.35", "0.390", "0.18", "0.40"),
    "minicpm-ultratext": _minicpm("Ultratext", "0.0754", "0.30", "0.292", "0.30", "0.25"),
    "minicpm-yayi": _minicpm("Chinese Yayi", "0.153", "0.19", "0.376", "0.17", "0.35"),
    "minicpm": _minicpm("average", "0.0715", "0.29", "0.300", "0.23", "0.31"),
}
"""Key -> law. Losses of different sources are in different units and on different texts: compare N and D, not L."""
