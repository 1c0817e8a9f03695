"""Hamiltonian Monte Carlo: targets, leapfrog, samplers behind one interface, exact finite ladders, diagnostics.

- :mod:`~replica.sampling.targets`: energies with known moments.
- :mod:`~replica.sampling.custom`: a user's own energy, its gradient by hand or by torch, and a check of the two.
- :mod:`~replica.sampling.chains`: the interface of all samplers, and the loop that runs them.
- :mod:`~replica.sampling.leapfrog`: phase points, leapfrog integration, momentum flip and momentum corruption.
- :mod:`~replica.sampling.look_ahead`: Look Ahead HMC; ordinary HMC is one look-ahead, ``n_lookahead=1``.
- :mod:`~replica.sampling.markov_jump`: Markov-jump HMC in continuous time, and its control in discrete time.
- :mod:`~replica.sampling.oscillator`: leapfrog on a quadratic energy in closed form, and exact transition fractions.
- :mod:`~replica.sampling.ladder`: the same transition rule on a finite ring of energies, where everything is a matrix.
- :mod:`~replica.sampling.jump_ladder`: the jump process on such a ring, its spectral gaps and their closed form.
- :mod:`~replica.sampling.ising`: Ising models and spin glasses, by enumeration and by Gibbs sampling.
- :mod:`~replica.sampling.diagnostics`: autocorrelation, gradient evaluations to a given level, effective sample size.

Throughout, arrays of positions and momenta have shape ``(n_dims, n_chains)``: the independent chains lie along the
last, contiguous axis, and every operation acts on all of them at once. Temperature and mass are one.
"""
