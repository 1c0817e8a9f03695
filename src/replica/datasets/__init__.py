"""Data sets by registry name, with their provenance.

>>> from replica.datasets import load
>>> digits = load("digits")
>>> digits.inputs.shape, digits.labels.shape, digits.meta.is_stand_in
((1797, 8, 8), (1797,), False)

Importing this package reads nothing and imports neither numpy nor scikit-learn.
"""

from replica.datasets.api import fetch, load, loaded, resolve, status
from replica.datasets.dataset import DataError, Dataset, Meta

__all__ = ["DataError", "Dataset", "Meta", "fetch", "load", "loaded", "resolve", "status"]
