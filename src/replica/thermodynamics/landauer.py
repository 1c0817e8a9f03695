r"""Landauer's bound: what it costs to forget, in bits and in joules.

A device that turns inputs of entropy :math:`H_{in}` into outputs of entropy :math:`H_{out}`, by whatever route, gives
off at least :math:`k_BT\ln2\,(H_{in}-H_{out})` of heat. One bit is worth :math:`k_BT\ln2`, one nat :math:`k_BT`.
Source: Landauer (1961), IBM J. Res. Dev. 5, 183.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Boltzmann's constant in joules per kelvin, exact since 2019 (SI).
BOLTZMANN_JOULES_PER_KELVIN = 1.380649e-23

#: Nats in a bit.
NATS_PER_BIT = float(np.log(2.0))

Array = NDArray[np.float64]


def landauer_bound_bits(entropy_in_bits: ArrayLike, entropy_out_bits: ArrayLike) -> Array:
    r"""Least heat of a computation, :math:`H_{in}-H_{out}`, in units of :math:`k_BT\ln2` (that is, in bits).

    Both arguments are entropies in bits, arrays of any shapes that broadcast. The result is negative where the output
    has more entropy than the input: then heat may be taken up. ValueError for entropies that are not finite.
    """
    entropies = [np.asarray(h, dtype=np.float64) for h in (entropy_in_bits, entropy_out_bits)]
    for label, values in zip(("in", "out"), entropies):
        if not np.all(np.isfinite(values)):
            raise ValueError(f"entropies must be finite numbers of bits, but entropy_{label}_bits is not.")
    return entropies[0] - entropies[1]


def stage_costs_bits(fresh_bits: ArrayLike, state_bits: ArrayLike) -> Array:
    r"""Least heat of every stage of a streaming computation, in units of :math:`k_BT\ln2` (bits).

    Stage :math:`t` takes fresh data of entropy :math:`F_t`, independent of what the device remembers, and turns its
    state from one of entropy :math:`S_{t-1}` into one of entropy :math:`S_t`: it costs :math:`F_t+S_{t-1}-S_t`. The sum
    telescopes to :math:`\sum_tF_t+S_0-S_T`, whatever happens on the way.

    Parameters
    ----------
    fresh_bits : array, shape (T,), or float
        :math:`F_t`; one number if it is the same at every stage.
    state_bits : array, shape (T + 1,)
        :math:`S_0,\dots,S_T`.

    Returns
    -------
    costs : array, shape (T,)

    Raises
    ------
    ValueError
        If there is no stage, the shapes do not fit, or an entropy is not finite.
    """
    state = np.asarray(state_bits, dtype=np.float64)
    fresh = np.asarray(fresh_bits, dtype=np.float64)
    if state.ndim != 1 or state.size < 2 or fresh.shape not in ((), (state.size - 1,)):
        raise ValueError(
            "state_bits must hold the entropies before and after each of T >= 1 stages and fresh_bits one number or T; "
            f"got shapes {state.shape} and {fresh.shape}."
        )
    return landauer_bound_bits(fresh + state[:-1], state[1:])


def bits_to_joules(bits: ArrayLike, temperature_kelvin: float = 300.0) -> Array:
    r"""Energy :math:`k_BT\ln2` for each bit, in joules: :math:`2.871\cdot10^{-21}` J a bit at 300 K.

    `bits` is an array of any shape; the temperature is in kelvin. ValueError unless the temperature is positive and
    finite and the bits are finite.
    """
    return nats_to_joules(np.asarray(bits, dtype=np.float64) * NATS_PER_BIT, temperature_kelvin)


def nats_to_joules(nats: ArrayLike, temperature_kelvin: float = 300.0) -> Array:
    r"""Energy :math:`k_BT` for each nat, in joules. Arguments and errors as for :func:`bits_to_joules`."""
    if not (np.isfinite(temperature_kelvin) and temperature_kelvin > 0):
        raise ValueError(f"the temperature must be positive and finite, in kelvin, got {temperature_kelvin}.")
    values = np.asarray(nats, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError("the number of bits or nats must be finite.")
    return BOLTZMANN_JOULES_PER_KELVIN * temperature_kelvin * values


def nats_to_bits(nats: ArrayLike) -> Array:
    r"""Nats divided by :math:`\ln2`: the same entropy, or the same heat, in bits. Any shape."""
    return np.asarray(nats, dtype=np.float64) / NATS_PER_BIT
