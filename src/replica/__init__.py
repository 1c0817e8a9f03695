"""Replica: a reproducible companion to the statistical physics of learning.

The science rooms (``replica.kernels``, ``replica.sampling``, ...) can be used without the book;
``replica.book`` holds the machinery that executes, checks and publishes the notebooks.
"""

__version__ = "0.1.0"
