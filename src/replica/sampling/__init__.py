"""Hamiltonian Monte Carlo: targets, leapfrog, samplers behind one interface, exact finite ladders, diagnostics.

- :mod:`~replica.sampling.targets`: energies with known moments.
- :mod:`~replica.sampling.chains`: the interface of all samplers, and the loop that runs them.
- :mod:`~replica.sampling.leapfrog`: phase points, leapfrog integration, momentum flip and momentum corruption.
- :mod:`~replica.sampling.look_ahead`: Look Ahead HMC; ordinary HMC is one look-ahead, ``n_lookahead=1``.
- :mod:`~replica.sampling.oscillator`: leapfrog on a quadratic energy in closed form, and exact transition fractions.
- :mod:`~replica.sampling.ladder`: the same transition rule on a finite ring of energies, where everything is a matrix.
- :mod:`~replica.sampling.diagnostics`: autocorrelation, gradient evaluations to a given level, jackknife over chains.

Throughout, arrays of positions and momenta have shape ``(n_dims, n_chains)``: the independent chains lie along the
last, contiguous axis, and every operation acts on all of them at once. Temperature and mass are one.
"""
