"""The errors that a reader may meet. Each message says what was expected, what came, and the remedy."""

from __future__ import annotations


class ReplicaError(Exception):
    """Base of all errors that end a command with a sentence instead of a traceback."""


class ManifestError(ReplicaError):
    """A manifest breaks the schema; the message lists every fault with file, key, expectation and value."""


class UnknownPaper(ReplicaError):
    """No paper has this slug."""


class UnknownFigure(ReplicaError):
    """The manifest of the paper declares no figure with this id."""


class UnknownClaim(ReplicaError):
    """The manifest of the paper declares no claim with this id."""


class ClaimValueError(ReplicaError):
    """The value handed to ``check`` cannot be judged (NaN, wrong shape or type)."""


class ParameterError(ReplicaError):
    """A parameter is unknown to the notebook or has the wrong type."""


class NotebookError(ReplicaError):
    """A notebook is not written as the conventions ask."""


class PairError(ReplicaError):
    """A notebook and its recorded pair are out of step, or a run cannot be recorded."""
