"""Hamiltonian Monte Carlo: targets, leapfrog, Look Ahead HMC, exact finite ladders, diagnostics.

Modules
-------
targets      energies with known moments: anisotropic Gaussian, rough well
leapfrog     phase points, leapfrog integration, momentum flip and momentum corruption
look_ahead   Look Ahead HMC (ordinary HMC with momentum flips is one look-ahead, ``n_lookahead=1``)
oscillator   leapfrog on a quadratic energy solved in closed form, and the exact transition fractions that follow
ladder       the same transition rule on a finite ring of energies, where everything is a matrix
diagnostics  zero-mean autocorrelation, gradient evaluations to a given level, jackknife over batches of chains

Throughout, arrays of positions and momenta have shape ``(n_dims, n_chains)``: the independent chains lie along the
last, contiguous axis, and every operation acts on all of them at once. Temperature and mass are one.
"""
