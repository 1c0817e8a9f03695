r"""Ising models and spin glasses: conventions, energies, exact sums over all states, Gibbs sampling.

Units are binary, $x\in\{0,1\}^d$, and a model is one symmetric matrix with the biases on its diagonal,

$$p(x) = \frac{e^{-E(x)}}{Z}, \qquad E(x) = x^\top J x .$$

The other usual convention has spins $\sigma = 2x-1$ and $\log p = \sum_{i<j}J^s_{ij}\sigma_i\sigma_j
+ \sum_i h_i\sigma_i - \log Z^s$; :func:`to_spin_couplings` and :func:`from_spin_couplings` go between them.
Sums over all $2^d$ states split the units into two halves, so that the probabilities are a matrix, and
moments are products of matrices.

Source: the conventions are those of Sohl-Dickstein, Battaglino and DeWeese, Phys. Rev. Lett. 107, 220601 (2011).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Most units for which all states are summed: 24 take a quarter of a gigabyte and half a second.
MAX_UNITS = 24
#: Random numbers drawn at once in Gibbs sampling (8 bytes each).
_BLOCK = 4_000_000


class Moments(NamedTuple):
    """Moments of a distribution of binary units.

    Attributes
    ----------
    mean : ``(d,)``, activities $\\langle x_i\\rangle$.
    second : ``(d, d)``, $\\langle x_ix_j\\rangle$, activities on the diagonal.
    """

    mean: Array
    second: Array

    def correlation(self) -> Array:
        r"""Correlation coefficients of the units, ``(d, d)``; the same for $x$ and for spins $\sigma = 2x-1$.

        Raises
        ------
        ValueError : a unit is always on or always off.
        """
        variance = self.mean * (1 - self.mean)
        if not (variance > 0).all():
            raise ValueError(f"expected units that are on and off; {_named(~(variance > 0))} never changes")
        return (self.second - np.outer(self.mean, self.mean)) / np.sqrt(np.outer(variance, variance))


def _named(which: NDArray[np.bool_]) -> str:
    """The true entries as words: 'unit 3' or 'units 3, 7, ...'."""
    indices = np.flatnonzero(which)
    listed = ", ".join(map(str, indices[:8])) + (", ..." if indices.size > 8 else "")
    return f"unit{'s' if indices.size > 1 else ''} {listed}"


def check_couplings(couplings: ArrayLike) -> Array:
    """``couplings`` as a float64 matrix.

    Raises
    ------
    ValueError : not square, not finite, or not symmetric.
    """
    matrix = np.asarray(couplings, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"couplings: expected a square matrix (d, d), got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("couplings: expected finite numbers, got NaN or infinity")
    difference = np.abs(matrix - matrix.T)
    if difference.max() > 1e-9 * max(1.0, np.abs(matrix).max()):
        i, j = np.unravel_index(difference.argmax(), matrix.shape)
        raise ValueError(
            f"couplings: expected a symmetric matrix, got {matrix[i, j]:.6g} at ({i}, {j}) "
            f"and {matrix[j, i]:.6g} at ({j}, {i})"
        )
    return matrix


def check_states(states: ArrayLike, n_units: int | None = None) -> Array:
    """Binary states as a float64 matrix ``(n, d)``.

    Raises
    ------
    ValueError : no states, a wrong number of units, NaN, or values other than 0 and 1.
    """
    matrix = np.asarray(states)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"states: expected a matrix (n, d) with at least one state, got shape {matrix.shape}")
    if n_units is not None and matrix.shape[1] != n_units:
        raise ValueError(f"states: expected {n_units} units as in the couplings, got {matrix.shape[1]}")
    matrix = matrix.astype(np.float64)
    wrong = ~((matrix == 0) | (matrix == 1))
    if wrong.any():
        row, unit = np.argwhere(wrong)[0]
        remedy = "; convert spins with spin_to_binary" if np.isin(matrix, (-1, 1)).all() else ""
        raise ValueError(f"states: expected 0 and 1, got {matrix[row, unit]:g} in state {row}, unit {unit}{remedy}")
    return matrix


def check_activity(states: Array, weights: Array | None = None) -> Array:
    """Mean activity ``(d,)`` of checked states.

    Raises
    ------
    ValueError : a unit is on in all states that have a weight, or in none: no finite bias fits it.
    """
    # from the states, not from their mean: with weights the mean of ones is one up to rounding only
    present = states if weights is None else states[weights > 0]
    for stuck, word in ((present.max(axis=0) == 0, "off"), (present.min(axis=0) == 1, "on")):
        if stuck.any():
            raise ValueError(
                f"{_named(stuck)} always {word} in the data: the estimate would be infinite; leave such units out"
            )
    return states.mean(axis=0) if weights is None else weights @ states / weights.sum()


def spin_to_binary(spins: ArrayLike) -> Array:
    r"""$x = (\sigma+1)/2$, any shape. Raises ValueError for values other than -1 and 1."""
    spins = np.asarray(spins, dtype=np.float64)
    if not np.isin(spins, (-1.0, 1.0)).all():
        raise ValueError("spins: expected -1 and 1 only")
    return (spins + 1) / 2


def binary_to_spin(states: ArrayLike) -> Array:
    r"""$\sigma = 2x-1$, any shape. Raises ValueError for values other than 0 and 1."""
    states = np.asarray(states, dtype=np.float64)
    if not np.isin(states, (0.0, 1.0)).all():
        raise ValueError("states: expected 0 and 1 only")
    return 2 * states - 1


def to_spin_couplings(couplings: ArrayLike) -> tuple[Array, Array]:
    r"""Couplings and fields of the spins,

    $$J^s_{ij} = -\tfrac12J_{ij}\ (i\ne j), \qquad h_i = -\tfrac12\sum_jJ_{ij} .$$

    Returns
    -------
    spin_couplings : ``(d, d)``, zero diagonal.
    fields : ``(d,)``.
    """
    matrix = check_couplings(couplings)
    spin = -0.5 * matrix
    np.fill_diagonal(spin, 0.0)
    return spin, -0.5 * matrix.sum(axis=1)


def from_spin_couplings(spin_couplings: ArrayLike, fields: ArrayLike) -> Array:
    r"""The inverse of :func:`to_spin_couplings`: $J_{ij}=-2J^s_{ij}$, $J_{ii}=2\sum_jJ^s_{ij}-2h_i$, shape ``(d, d)``.

    Raises
    ------
    ValueError : couplings not symmetric, with a diagonal, or fields of another length.
    """
    spin, fields = check_couplings(spin_couplings), np.asarray(fields, dtype=np.float64)
    if fields.shape != (len(spin),) or np.diag(spin).any():
        raise ValueError(f"expected spin couplings without diagonal and {len(spin)} fields, got {fields.shape}")
    matrix = -2 * spin
    np.fill_diagonal(matrix, 2 * spin.sum(axis=1) - 2 * fields)
    return matrix


def spin_glass(n_units: int, rng: np.random.Generator, scale: float = 3.0) -> Array:
    r"""A fully connected glass in which every unit is on half of the time.

    $J = (G+G^\top)/2$ with independent $G_{ij}\sim\mathcal N(0, s^2/d)$, so couplings have variance
    $s^2/2d$, and $J_{ii} = -\sum_{j\ne i}J_{ij}$, which makes all fields on the spins vanish. Returns ``(d, d)``.

    Parameters
    ----------
    scale : $s$; 3 in the authors' demonstration.
    """
    if n_units < 2 or not scale > 0:
        raise ValueError(f"expected at least 2 units and a positive scale, got {n_units} and {scale}")
    draw = rng.normal(scale=scale / np.sqrt(n_units), size=(n_units, n_units))
    matrix = (draw + draw.T) / 2
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


def ising_energy(couplings: ArrayLike, states: ArrayLike) -> Array:
    """$E(x) = x^TJx$ for states ``(n, d)``; shape ``(n,)``, in units of $kT$."""
    matrix = check_couplings(couplings)
    states = check_states(states, len(matrix))
    return np.einsum("ni,ni->n", states @ matrix, states)


def binary_states(n_units: int) -> Array:
    """All $2^d$ states, ``(2^d, d)``, numbered as binary numbers, unit 0 slowest. At most 20 units."""
    if not 1 <= n_units <= 20:
        raise ValueError(f"expected 1 to 20 units for a list of all states, got {n_units}")
    return ((np.arange(2**n_units)[:, None] >> np.arange(n_units - 1, -1, -1)) & 1).astype(np.float64)


class _Halves(NamedTuple):
    """Probabilities as a matrix over the states of the first and of the other units."""

    first: Array
    other: Array
    weight: Array
    log_partition: float


def _enumerate(couplings: ArrayLike) -> _Halves:
    matrix = check_couplings(couplings)
    d = len(matrix)
    if not 2 <= d <= MAX_UNITS:
        raise ValueError(f"exact sums over 2^d states are offered for 2 to {MAX_UNITS} units, got {d}")
    h = d // 2
    first, other = binary_states(h), binary_states(d - h)
    weight = first @ (-2 * matrix[:h, h:]) @ other.T
    weight -= np.einsum("ni,ij,nj->n", first, matrix[:h, :h], first)[:, None]
    weight -= np.einsum("ni,ij,nj->n", other, matrix[h:, h:], other)
    top = weight.max()
    weight -= top
    np.exp(weight, out=weight)
    total = weight.sum()
    weight /= total
    return _Halves(first, other, weight, float(top + np.log(total)))


def state_probabilities(couplings: ArrayLike) -> Array:
    r"""$p(x)$ of all states in the order of :func:`binary_states`, ``(2^d,)``.

    Raises
    ------
    ValueError : couplings not symmetric, or more than :data:`MAX_UNITS` units.
    """
    return _enumerate(couplings).weight.ravel()


def log_partition(couplings: ArrayLike) -> float:
    r"""$\log Z = \log\sum_xe^{-E(x)}$ by summing over all states (at most :data:`MAX_UNITS` units)."""
    return _enumerate(couplings).log_partition


def exact_moments(couplings: ArrayLike) -> tuple[Moments, float]:
    r"""Moments and $\log Z$ by summing over all states.

    With the probabilities as a matrix $P_{ab}$ over the states of two halves of the units, the second moments are
    $A^\top\mathrm{diag}(P1)A$, $B^\top\mathrm{diag}(P^\top1)B$ and $A^\top PB$.

    Returns
    -------
    moments : `Moments`.
    log_partition : float.

    Raises
    ------
    ValueError : couplings not symmetric, or more than :data:`MAX_UNITS` units.
    """
    first, other, weight, log_z = _enumerate(couplings)
    left, right = weight.sum(axis=1), weight.sum(axis=0)
    cross = first.T @ (weight @ other)
    second = np.block([[(first.T * left) @ first, cross], [cross.T, (other.T * right) @ other]])
    return Moments(np.diag(second).copy(), second), log_z


def exact_samples(couplings: ArrayLike, n_samples: int, rng: np.random.Generator) -> Array:
    """Independent samples ``(n_samples, d)`` from the exact distribution (at most :data:`MAX_UNITS` units)."""
    if n_samples < 1:
        raise ValueError(f"expected at least one sample, got {n_samples}")
    first, other, weight, _ = _enumerate(couplings)
    cumulative = np.cumsum(weight.ravel())
    drawn = np.searchsorted(cumulative, rng.random(n_samples) * cumulative[-1], side="right")
    a, b = np.divmod(np.minimum(drawn, cumulative.size - 1), len(other))
    return np.hstack([first[a], other[b]])


def sample_moments(states: ArrayLike) -> Moments:
    """Moments of a sample of binary states ``(n, d)``."""
    states = check_states(states)
    second = states.T @ states / len(states)
    return Moments(np.diag(second).copy(), second)


@njit(nogil=True)
def _sweep(twice, states, fields, noise):
    """Gibbs sweeps in place; ``fields`` is the energy of switching each unit on, kept up to date."""
    n_sweeps, n_chains, d = noise.shape
    for c in range(n_chains):
        for s in range(n_sweeps):
            for n in range(d):
                new = 1.0 if noise[s, c, n] * (1.0 + np.exp(fields[c, n])) < 1.0 else 0.0
                change = new - states[c, n]
                if change != 0.0:
                    states[c, n] = new
                    for m in range(d):
                        fields[c, m] += change * twice[n, m]


def gibbs_sweeps(couplings: ArrayLike, states: ArrayLike, n_sweeps: int, rng: np.random.Generator) -> Array:
    r"""Gibbs sampling of many chains at once: each sweep visits all units in order and draws

    $$P(x_n=1\,|\,\text{rest}) = \frac1{1+e^{A_n}}, \qquad A_n = 2\sum_{j\ne n}J_{nj}x_j + J_{nn} ,$$

    from one uniform random number.

    Parameters
    ----------
    states : ``(n_chains, d)``, where the chains are; not changed.
    n_sweeps : number of sweeps.

    Returns
    -------
    The new states, ``(n_chains, d)``.
    """
    matrix = check_couplings(couplings)
    if n_sweeps < 0:
        raise ValueError(f"expected a number of sweeps that is not negative, got {n_sweeps}")
    return _gibbs(matrix, check_states(states, len(matrix)), n_sweeps, rng)


def _gibbs(matrix: Array, states: Array, n_sweeps: int, rng: np.random.Generator) -> Array:
    """:func:`gibbs_sweeps` for checked arguments; ``states`` is changed and returned."""
    twice = 2 * matrix
    np.fill_diagonal(twice, 0.0)
    bias = np.diag(matrix)
    done = 0
    while done < n_sweeps:
        now = min(n_sweeps - done, max(1, _BLOCK // states.size))
        # fields anew for each block: nothing of the rounding of many small changes is left
        _sweep(twice, states, states @ twice + bias, rng.random((now, *states.shape)))
        done += now
    return states


def gibbs_samples(
    couplings: ArrayLike,
    n_samples: int,
    rng: np.random.Generator,
    n_chains: int = 200,
    burn_in: int = 300,
    thinning: int = 10,
) -> Array:
    r"""A sample by Gibbs sampling with independent chains, ``(n_samples, d)``.

    Rows are ordered by chain: the two halves of the sample come from different chains and may be compared.

    Parameters
    ----------
    n_samples : a multiple of ``n_chains``.
    burn_in : sweeps before the first sample, from random states.
    thinning : sweeps between samples of a chain.

    Raises
    ------
    ValueError : couplings not symmetric, or counts that do not fit.
    """
    matrix = check_couplings(couplings)
    if min(n_samples, n_chains, thinning) < 1 or burn_in < 0 or n_samples % n_chains:
        raise ValueError(
            f"expected a number of samples that is a multiple of the chains, and positive counts; got "
            f"{n_samples} samples, {n_chains} chains, burn-in {burn_in}, thinning {thinning}"
        )
    states = rng.integers(0, 2, size=(n_chains, len(matrix))).astype(np.float64)
    states = _gibbs(matrix, states, burn_in, rng)
    kept = np.empty((n_chains, n_samples // n_chains, len(matrix)))
    for index in range(kept.shape[1]):
        states = _gibbs(matrix, states, thinning, rng)
        kept[:, index] = states
    return kept.reshape(n_samples, len(matrix))
