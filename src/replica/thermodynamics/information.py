r"""Information between the input of a device, its state, and the output that is asked of it; in nats.

The input :math:`s` is one of :math:`S` equally likely patterns, the state :math:`x` is drawn from the conditional
distribution :math:`\pi(x|s)`, and the required output :math:`y(s)` is a label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

Array = NDArray[np.float64]

#: How far probabilities may be from summing to one.
SUM_TOLERANCE = 1e-8


def check_conditionals(conditionals: ArrayLike) -> Array:
    r"""Conditional distributions :math:`\pi(x|s)` as an array of shape (..., S, n), one a row.

    Raises
    ------
    ValueError
        If an entry is negative or not finite, or a row does not sum to one.
    """
    p = np.asarray(conditionals, dtype=np.float64)
    if p.ndim < 2:
        raise ValueError(f"expected one distribution a row, shape (..., inputs, states); got shape {p.shape}")
    if not np.isfinite(p).all() or (p < 0).any():
        raise ValueError("expected probabilities; got a negative entry, NaN or infinity")
    if (np.abs(p.sum(axis=-1) - 1) > SUM_TOLERANCE).any():
        raise ValueError(f"each row must sum to one; one sums to {p.sum(axis=-1).flat[0]:.6g}")
    return p


def mutual_information(joint: ArrayLike) -> Array:
    r"""Mutual information :math:`\sum_{yx}p(y,x)\ln\frac{p(y,x)}{p(y)p(x)}` of joint tables (..., K, n), in nats.

    Raises
    ------
    ValueError
        If an entry is negative or not finite, or a table does not sum to one.
    """
    p = np.asarray(joint, dtype=np.float64)
    if p.ndim < 2 or not np.isfinite(p).all() or (p < 0).any():
        raise ValueError("expected joint probabilities, shape (..., K, n), none negative, NaN or infinite")
    if (np.abs(p.sum(axis=(-2, -1)) - 1) > SUM_TOLERANCE).any():
        raise ValueError("each joint table must sum to one")
    product = p.sum(axis=-1, keepdims=True) * p.sum(axis=-2, keepdims=True)
    return rel_entr(p, product).sum(axis=(-2, -1))


def check_labels(labels: ArrayLike, inputs: int) -> NDArray[np.int64]:
    """Labels 0, 1, ... of ``inputs`` inputs, shape (..., inputs).

    Raises
    ------
    ValueError
        If their number is wrong or they are not whole numbers from 0 up.
    """
    y = np.asarray(labels)
    if y.shape[-1:] != (inputs,):
        raise ValueError(f"expected one label for each of the {inputs} inputs; got shape {y.shape}")
    if not np.issubdtype(y.dtype, np.integer) or (y < 0).any():
        raise ValueError("expected labels that are whole numbers from 0 up")
    return y.astype(np.int64)


def joint_with_labels(conditionals: ArrayLike, labels: ArrayLike) -> Array:
    r"""Joint table :math:`p(y,x)=\frac1S\sum_{s:\,y(s)=y}\pi(x|s)`, shape (..., K, n), for labels (S,) or (..., S)."""
    p = check_conditionals(conditionals)
    y = check_labels(labels, p.shape[-2])
    one_hot = (y[..., None, :] == np.arange(y.max() + 1)[:, None]).astype(np.float64)  # (..., K, S)
    return one_hot @ p / p.shape[-2]


def label_information(conditionals: ArrayLike, labels: ArrayLike) -> Array:
    r"""What the state tells about the required output, :math:`I(X;Y)` in nats, shape (...).

    Parameters
    ----------
    conditionals : array, shape (..., S, n)
        :math:`\pi(x|s)` of equally likely inputs.
    labels : array of int, shape (S,) or (..., S)
        :math:`y(s)`.
    """
    return mutual_information(joint_with_labels(conditionals, labels))


def input_information(conditionals: ArrayLike) -> Array:
    r"""What the state tells about the input itself, :math:`I(X;S)\ge I(X;Y)` in nats, shape (...)."""
    p = check_conditionals(conditionals)
    return rel_entr(p, p.mean(axis=-2, keepdims=True)).sum(axis=-1).mean(axis=-1)


def bayes_readout(train: ArrayLike, train_labels: ArrayLike, test: ArrayLike) -> NDArray[np.int64]:
    r"""Best guess of the label from one draw of the state, averaged over draws as in an ensemble of devices,

    .. math::

        \hat y(s)=\arg\max_y\sum_x\pi(x|s)\,p(y|x),

    where :math:`p(y|x)` is taken from the training inputs.

    Parameters
    ----------
    train, test : arrays, shape (S, n) and (S', n)
        :math:`\pi(x|s)` of the training and of the test inputs.
    train_labels : array of int, shape (S,)

    Returns
    -------
    array of int, shape (S',)
    """
    joint = joint_with_labels(train, train_labels)
    posterior = joint / np.maximum(joint.sum(axis=-2, keepdims=True), np.finfo(float).tiny)
    return np.argmax(check_conditionals(test) @ np.swapaxes(posterior, -1, -2), axis=-1)


def gaussian_channel_information(gain: ArrayLike, noise: ArrayLike, signal: ArrayLike) -> float:
    r"""Information of the linear Gaussian channel :math:`x=Ms+\xi` in nats,

    .. math::

        I=\tfrac12\ln\det\big[\mathbb 1+C^{-1}M\Sigma_sM^{\sf T}\big].

    Parameters
    ----------
    gain : array, shape (r, m)
        :math:`M`.
    noise : array, shape (r, r)
        Covariance :math:`C` of :math:`\xi`, positive definite.
    signal : array, shape (m, m)
        Covariance :math:`\Sigma_s` of the input.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, the noise is not symmetric and positive definite, or the signal
        is not symmetric or has a negative variance in some direction.
    """
    m, c, s = (np.atleast_2d(np.asarray(a, dtype=np.float64)) for a in (gain, noise, signal))
    if c.shape != (m.shape[0],) * 2 or s.shape != (m.shape[1],) * 2:
        raise ValueError(
            f"expected noise of shape {(m.shape[0],) * 2} and signal of shape {(m.shape[1],) * 2} for a gain of shape "
            f"{m.shape}; got {c.shape} and {s.shape}"
        )
    for name, a in (("gain", m), ("noise", c), ("signal", s)):
        if not np.isfinite(a).all():
            raise ValueError(f"expected a finite {name}; got NaN or infinity")
    for name, a in (("noise", c), ("signal", s)):
        if not np.allclose(a, a.T, rtol=1e-9, atol=1e-12 * np.abs(a).max()):
            raise ValueError(f"the covariance of the {name} must be symmetric")
    smallest = np.linalg.eigvalsh(s).min()
    if smallest < -1e-12 * np.abs(s).max():
        raise ValueError(f"the covariance of the signal must have no negative eigenvalue; got {smallest:.4g}")
    try:
        root = np.linalg.cholesky(c)
    except np.linalg.LinAlgError:
        raise ValueError("the covariance of the noise must be positive definite") from None
    white = np.linalg.solve(root, m)
    return 0.5 * float(np.linalg.slogdet(np.eye(len(c)) + white @ s @ white.T)[1])
