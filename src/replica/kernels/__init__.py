"""Kernels of wide networks, their spectra, kernel ridge regression and its learning curves.

Modules are imported by name, for example ``from replica.kernels.spectra import hypercube_spectrum``.
"""
