"""A fit under sliders, for a notebook: what it says at any budget, and where that lies among the runs."""

from scalinglab.explorer._explore import explore

__all__ = ["explore"]
