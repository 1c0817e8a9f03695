r"""How well a kernel fits a target: alignment, and the whitening of data that decides when it settles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def kernel_alignment(gram: Any, targets: Any) -> Any:
    r"""Alignment of a Gram matrix with a target vector (uncentred),

    .. math:: A(K,y)=\frac{y^\top Ky}{\|K\|_F\,|y|^2}.

    It is the cosine between :math:`K` and :math:`yy^\top` in matrix space: 1 when :math:`K\propto yy^\top`,
    :math:`1/\sqrt n` for the identity. With :math:`K=W^\top W` and :math:`y=\beta` it measures how far the first layer
    of a network has turned to the direction :math:`\beta`.

    Parameters
    ----------
    gram : array or torch tensor, shape (..., n, n)
        Leading axes are independent kernels.
    targets : array or tensor of the same kind, shape (n,)

    Returns
    -------
    array or tensor, shape (...)

    Raises
    ------
    ValueError
        If the shapes do not fit or the target is zero.

    References
    ----------
    Cortes, Mohri and Rostamizadeh, JMLR 13 (2012); Atanasov, Bordelon and Pehlevan, ICLR 2022, section 2.
    """
    if not hasattr(gram, "ndim"):
        gram = np.asarray(gram, dtype=np.float64)
    if not hasattr(targets, "ndim"):
        targets = np.asarray(targets, dtype=np.float64)
    if gram.ndim < 2 or gram.shape[-1] != gram.shape[-2] or tuple(targets.shape) != (gram.shape[-1],):
        raise ValueError(
            f"gram must be square, shape (..., n, n), and targets have shape (n,); got {tuple(gram.shape)} and "
            f"{tuple(targets.shape)}"
        )
    size = (targets * targets).sum()
    if not size > 0:
        raise ValueError("targets must not be zero: the alignment has no direction to compare with")
    norm = (gram * gram).sum((-1, -2)) ** 0.5
    return ((gram @ targets) * targets).sum(-1) / (norm * size)


def kernel_cosine(gram: Any, other: Any) -> Any:
    r"""Cosine between two Gram matrices, :math:`\langle K,K'\rangle_F/(\|K\|_F\|K'\|_F)`: 1 when only scales differ.

    Parameters
    ----------
    gram, other : arrays or tensors of one kind, shape (..., n, n)
        Leading axes broadcast.

    Raises
    ------
    ValueError
        If the matrices do not have the same size.
    """
    if gram.ndim < 2 or other.ndim < 2 or tuple(gram.shape[-2:]) != tuple(other.shape[-2:]):
        raise ValueError(f"the two Gram matrices must have one size; got {tuple(gram.shape)} and {tuple(other.shape)}")
    inner = (gram * other).sum((-1, -2))
    return inner / ((gram * gram).sum((-1, -2)) * (other * other).sum((-1, -2))) ** 0.5


def partial_whitening(
    inputs: ArrayLike, gamma: float, test: ArrayLike | None = None, cutoff: float = 1e-10
) -> tuple[Array, Array | None]:
    r"""Raise the singular values of the data to a power: :math:`X=USV^\top\mapsto c\,US^\gamma V^\top`.

    :math:`\gamma=1` gives the data up to scale, :math:`\gamma=0` whitens them: their second moment becomes the
    identity on their span. The scale :math:`c` keeps the mean squared norm of the training inputs equal to the number
    of nonzero singular values for every :math:`\gamma`.
    Test inputs go through the same linear map :math:`x\mapsto c\,VS^{\gamma-1}V^\top x`, which drops what lies outside
    the span of the training inputs.

    Parameters
    ----------
    inputs : array, shape (P, D)
    gamma : float
        Between 0 and 1.
    test : array, shape (n, D), optional
    cutoff : float
        Singular values below ``cutoff`` times the largest count as zero (whitening would blow them up).

    Returns
    -------
    train : array, shape (P, D)
    test : array, shape (n, D), or None

    Raises
    ------
    ValueError
        If shapes do not fit, gamma is outside [0, 1] or the inputs are zero.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, section 5.
    """
    x = np.asarray(inputs, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x).all() or not np.abs(x).max(initial=0.0) > 0:
        raise ValueError(f"inputs must be a finite nonzero matrix, shape (P, D); got shape {x.shape}")
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie between 0 (whitened) and 1 (as they are); got {gamma}")
    _, singular, axes = np.linalg.svd(x, full_matrices=False)
    keep = singular > cutoff * singular[0]
    singular, axes = singular[keep], axes[keep]
    scale = np.sqrt(x.shape[0] * keep.sum() / (singular ** (2 * gamma)).sum())
    transform = (axes.T * (scale * singular ** (gamma - 1))) @ axes
    if test is None:
        return x @ transform, None
    other = np.asarray(test, dtype=np.float64)
    if other.ndim != 2 or other.shape[1] != x.shape[1]:
        raise ValueError(f"test must have shape (n, {x.shape[1]}); got {other.shape}")
    return x @ transform, other @ transform
