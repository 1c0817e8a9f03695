r"""The steady state of Glauber spins and its gradient, compiled: one elimination for both.

A flip changes the parity of a configuration, so the master equation falls into two blocks, even and odd. Even states
are taken out at once (each has :math:`N` neighbours, all odd), which leaves a chain on the :math:`m=2^{N-1}` odd ones
with rates :math:`S_{o'o}=\sum_e k_{e\to o'}k_{o\to e}/D_e`, where :math:`D_e` is the rate of leaving :math:`e`. That
chain is eliminated without subtractions as in :func:`replica.thermodynamics.markov.steady_state`. Half the states cost
an eighth of a dense solve.

Gradient: if :math:`G` depends on :math:`\pi` with :math:`g=\partial G/\partial\pi`, let
:math:`Q^{\sf T}\lambda=g-\pi\cdot g`. Then a change of rates changes
:math:`G` by :math:`-\lambda\cdot\delta Q\,\pi`. The transposed system is solved with the elimination at hand.

Two states that differ in spin :math:`i` see the same field :math:`h_i` (no self-coupling), so everything runs over
such pairs, one for each odd state and spin: ``rate_odd`` is the rate out of the odd member, ``rate_even`` out of the
even one.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(cache=True)
def _pairs(coupling, field, odd, neighbour, spins, h, rate_odd, rate_even, leave):
    """Fields and flip rates of all pairs, and the rates ``leave`` of leaving the even states."""
    m, n = neighbour.shape
    leave[:] = 0.0
    for o in range(m):
        for i in range(n):
            local = field[i]
            for j in range(n):
                local += coupling[i, j] * spins[odd[o], j]
            h[o, i] = local
            against = spins[odd[o], i] * local  # positive: the odd state is aligned with its field
            small = np.exp(-2.0 * abs(against))
            fast = 1.0 / (1.0 + small)
            if against > 0:
                rate_odd[o, i], rate_even[o, i] = small * fast, fast
            else:
                rate_odd[o, i], rate_even[o, i] = fast, small * fast
            leave[neighbour[o, i]] += rate_even[o, i]


@njit(cache=True)
def _eliminate(neighbour, back, rate_odd, rate_even, leave, s):
    """Reduced chain on the odd states, eliminated in place: rows below, shares above, leaving rates on the diagonal."""
    m, n = neighbour.shape
    s[:] = 0.0
    for e in range(m):
        for i in range(n):
            o = back[e, i]
            share = rate_odd[o, i] / leave[e]
            for k in range(n):
                s[back[e, k], o] += rate_even[back[e, k], k] * share
    for last in range(m - 1, 0, -1):
        total = 0.0
        for j in range(last):
            total += s[j, last]
        s[last, last] = total
        for j in range(last):
            s[j, last] /= total
            share = s[j, last]
            for i in range(last):
                s[j, i] += share * s[last, i]


@njit(cache=True, nogil=True)
def solve(coupling, field, odd, even, neighbour, back, spins):
    r"""Steady states :math:`\pi` (P, S, n), entropy production rates (P, S), eliminations (P, S, m, m), and the fields
    and rates of all pairs (P, S, 3, m, N) with the rates of leaving the even states (P, S, m)."""
    devices, inputs = field.shape[0], field.shape[1]
    m, n = neighbour.shape
    pi = np.empty((devices, inputs, 2 * m))
    sigma = np.empty((devices, inputs))
    factor = np.empty((devices, inputs, m, m))
    pairs = np.empty((devices, inputs, 3, m, n))
    leaving = np.empty((devices, inputs, m))
    for item in range(devices * inputs):
        p, q = item // inputs, item % inputs
        h, rate_odd, rate_even, leave = pairs[p, q, 0], pairs[p, q, 1], pairs[p, q, 2], leaving[p, q]
        _pairs(coupling[p], field[p, q], odd, neighbour, spins, h, rate_odd, rate_even, leave)
        s, state = factor[p, q], pi[p, q]
        _eliminate(neighbour, back, rate_odd, rate_even, leave, s)
        state[odd[0]] = 1.0
        for k in range(1, m):
            flow = 0.0
            for j in range(k):
                flow += s[k, j] * state[odd[j]]
            state[odd[k]] = flow / s[k, k]
        total = 0.0
        for e in range(m):
            flow = 0.0
            for i in range(n):
                flow += rate_odd[back[e, i], i] * state[odd[back[e, i]]]
            state[even[e]] = flow / leave[e]
            total += state[even[e]] + state[odd[e]]
        for x in range(2 * m):
            state[x] /= total
        production = 0.0
        for o in range(m):
            for i in range(n):
                current = state[odd[o]] * rate_odd[o, i] - state[even[neighbour[o, i]]] * rate_even[o, i]
                production -= 2.0 * h[o, i] * spins[odd[o], i] * current
        sigma[p, q] = production
    return pi, sigma, factor, pairs, leaving


@njit(cache=True, nogil=True)
def pull_back(odd, even, neighbour, back, spins, pi, factor, pairs, leaving, slope, weight):
    r"""Gradient of :math:`\sum_s[\,f(\pi_s)+w\,\sigma_s]` for each device: couplings (P, S, N, N) and fields (P, S, N).

    ``slope`` (P, S, n) is :math:`\partial f/\partial\pi_s(x)`, ``weight`` (P,) is :math:`w`; ``pi``, ``factor``,
    ``pairs`` and ``leaving`` come from :func:`solve`. Contributions of the inputs are left apart.
    """
    devices, inputs = pi.shape[0], pi.shape[1]
    m, n = neighbour.shape
    to_coupling = np.zeros((devices, inputs, n, n))
    to_field = np.zeros((devices, inputs, n))
    for item in range(devices * inputs):
        p, q = item // inputs, item % inputs
        h, rate_odd, rate_even, leave = pairs[p, q, 0], pairs[p, q, 1], pairs[p, q, 2], leaving[p, q]
        s, state, w = factor[p, q], pi[p, q], weight[p]
        r = slope[p, q].copy()
        for o in range(m):
            for i in range(n):
                push = 2.0 * w * h[o, i] * spins[odd[o], i]
                r[odd[o]] -= push * rate_odd[o, i]
                r[even[neighbour[o, i]]] += push * rate_even[o, i]
        mean = 0.0
        for x in range(2 * m):
            mean += state[x] * r[x]
        r -= mean
        lam_odd, lam_even = np.empty(m), np.empty(m)
        for o in range(m):
            total = r[odd[o]]
            for i in range(n):
                e = neighbour[o, i]
                total += rate_odd[o, i] * r[even[e]] / leave[e]
            lam_odd[o] = total
        for k in range(m - 1, 0, -1):
            lam_odd[k] /= s[k, k]
            for j in range(k):
                lam_odd[j] += s[k, j] * lam_odd[k]
        lam_odd[0] = 0.0
        for k in range(1, m):
            total = -lam_odd[k]
            for j in range(k):
                total += s[j, k] * lam_odd[j]
            lam_odd[k] = total
        for e in range(m):
            total = -r[even[e]]
            for i in range(n):
                total += rate_even[back[e, i], i] * lam_odd[back[e, i]]
            lam_even[e] = total / leave[e]
        for o in range(m):
            for i in range(n):
                e, x = neighbour[o, i], spins[odd[o], i]
                both = rate_odd[o, i] * rate_even[o, i] * (state[odd[o]] + state[even[e]])
                current = state[odd[o]] * rate_odd[o, i] - state[even[e]] * rate_even[o, i]
                change = -2.0 * x * both * (lam_odd[o] - lam_even[e])
                change += w * (4.0 * h[o, i] * both - 2.0 * x * current)
                to_field[p, q, i] += change
                for j in range(n):
                    if j != i:
                        to_coupling[p, q, i, j] += change * spins[odd[o], j]
    return to_coupling, to_field


@njit(cache=True)
def trajectory(coupling, field, state, duration, rng, occupation):
    r"""One run of the exact jump process from configuration ``state`` (changed in place); returns
    :math:`\ln` of the forward over the reverse rates, summed over all flips, and adds to ``occupation`` the time spent
    in each configuration (none where it is empty)."""
    n = len(state)
    rates = np.empty(n)
    time, entropy = 0.0, 0.0
    while True:
        total, place = 0.0, 0
        for i in range(n):
            local = field[i]
            for j in range(n):
                local += coupling[i, j] * state[j]
            rates[i] = 1.0 / (1.0 + np.exp(2.0 * state[i] * local))
            total += rates[i]
            place = 2 * place + (1 if state[i] > 0 else 0)
        wait = rng.exponential() / total
        stays = min(wait, duration - time)
        if len(occupation):
            occupation[place] += stays
        time += wait
        if time >= duration:
            return entropy
        chosen, u = 0, rng.random() * total - rates[0]
        while u > 0 and chosen < n - 1:
            chosen += 1
            u -= rates[chosen]
        local = field[chosen]
        for j in range(n):
            local += coupling[chosen, j] * state[j]
        entropy -= 2.0 * state[chosen] * local
        state[chosen] = -state[chosen]
