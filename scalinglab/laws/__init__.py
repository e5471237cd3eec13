"""Functional forms of the loss: constants with bounds and units, predictions, derivatives, closed forms."""

from scalinglab.laws._chinchilla import Chinchilla, MiniCPM
from scalinglab.laws._curves import BrokenPowerLaw, Exponential, PowerLaw
from scalinglab.laws._data_constrained import DataConstrained
from scalinglab.laws._function import FunctionLaw, from_function
from scalinglab.laws._kaplan import Kaplan, Skaling
from scalinglab.laws._law import Constant, Law
from scalinglab.laws._power_sum import PowerSum, Term
from scalinglab.laws._products import PowerProduct
from scalinglab.laws._published import PUBLISHED, PublishedLaw

__all__ = [
    "PUBLISHED",
    "BrokenPowerLaw",
    "Chinchilla",
    "Constant",
    "DataConstrained",
    "Exponential",
    "FunctionLaw",
    "Kaplan",
    "Law",
    "MiniCPM",
    "PowerLaw",
    "PowerProduct",
    "PowerSum",
    "PublishedLaw",
    "Skaling",
    "Term",
    "from_function",
]
