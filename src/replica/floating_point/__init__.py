"""Information content of floating-point numbers: formats, exact entropies, and their smooth approximation.

Modules: :mod:`~replica.floating_point.formats` (what a format is, where its bins lie),
:mod:`~replica.floating_point.distributions` (the catalogue of built-in distributions),
:mod:`~replica.floating_point.closed_forms`, :mod:`~replica.floating_point.quadrature`,
:mod:`~replica.floating_point.smooth` (the smooth approximation and its error terms),
:mod:`~replica.floating_point.exact` (exact discrete entropies), :mod:`~replica.floating_point.multivariate`,
:mod:`~replica.floating_point.quantisation` (rounding samples, counting bit patterns).

All entropies are in bits.
"""
