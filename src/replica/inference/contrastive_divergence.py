r"""Contrastive divergence for fully visible Ising models.

Source: G. E. Hinton, Neural Computation 14, 1771 (2002).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.inference.fitting import Trace
from replica.sampling.ising import _gibbs, check_activity, check_couplings, check_states

Array = NDArray[np.float64]


def contrastive_divergence(
    states: ArrayLike,
    start: ArrayLike,
    sweeps: int,
    rate: float | Callable[[int], float],
    steps: int,
    rng: np.random.Generator,
    keep_every: int = 1,
    spins: bool = False,
) -> Trace:
    r"""CD-k with full batches,

    $$J \leftarrow J-\eta\,(\langle xx^\top\rangle_{\mathcal D}-\langle xx^\top\rangle_k) ,$$

    where the second average is over states after $k$ Gibbs sweeps of the present model, started from all data anew in
    each step. Nothing is hidden here, so at the true couplings the data's distribution is the fixed point of the sweeps
    and the mean step is zero: the method is consistent, it may just take long.

    Parameters
    ----------
    states : ``(n, d)``, binary.
    start : ``(d, d)``, initial couplings.
    sweeps : $k$, full sweeps.
    rate : learning rate $\eta > 0$, or a function of the step's number.
    steps : number of steps.
    keep_every : the trace holds every so many steps, and the last.
    spins : take the same step in the couplings and fields of the spins $\sigma=2x-1$ instead: another way to the same
        fixed point. The couplings grow by
        $\eta\,(\langle\sigma_i\sigma_j\rangle_{\mathcal D}-\langle\sigma_i\sigma_j\rangle_k)$, the fields likewise.

    Returns
    -------
    `Trace`; ``evaluations`` counts steps.

    Raises
    ------
    ValueError : bad states, couplings or counts; a rate that is not positive; a unit that never changes.
    FloatingPointError : the couplings became infinite: the learning rate is too large.
    """
    x = check_states(states)
    check_activity(x)
    couplings = check_couplings(start).copy()
    if len(couplings) != x.shape[1]:
        raise ValueError(f"start: expected {x.shape[1]} units as in the states, got {len(couplings)}")
    if min(sweeps, steps, keep_every) < 1:
        raise ValueError(f"expected positive counts, got {sweeps} sweeps, {steps} steps, keep_every {keep_every}")
    schedule = rate if callable(rate) else lambda _: rate
    kept, counts, seconds = [couplings.copy()], [0], [0.0]
    begin = time.process_time()
    observed = x.T @ x / len(x)
    for step in range(1, steps + 1):
        now = schedule(step)
        if not 0 < now < np.inf:
            raise ValueError(f"rate: expected a positive number, got {now} in step {step}")
        after = _gibbs(couplings, x.copy(), sweeps, rng)
        change = observed - after.T @ after / len(x)
        couplings -= now * (_spin_step(change) if spins else change)
        if not np.isfinite(couplings).all() or np.abs(couplings).max() > 1e6:
            raise FloatingPointError(f"couplings beyond 1e6 in step {step}: the learning rate is too large")
        if step % keep_every == 0 or step == steps:
            seconds.append(time.process_time() - begin)
            counts.append(step)
            kept.append(couplings.copy())
    return Trace(np.stack(kept), np.array(counts), np.array(seconds))


def _spin_step(change: Array) -> Array:
    r"""What to take from $J$ for a unit step of spin couplings; ``change`` is that of $\langle xx^\top\rangle$."""
    mean = 2 * np.diag(change)  # of the spins
    pairs = 4 * change - mean[:, None] - mean[None, :]
    np.fill_diagonal(pairs, 0.0)
    step = -2 * pairs
    np.fill_diagonal(step, 2 * pairs.sum(axis=1) - 2 * mean)
    return -step
