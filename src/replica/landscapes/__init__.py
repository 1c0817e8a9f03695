r"""Loss landscapes: critical points, where searches for them end, and what is flat without being critical.

A landscape is a loss $L(\theta)$ with its gradient and its Hessian-vector product; every function takes many points at
once, ``theta`` of shape ``(n_points, n_parameters)``. Double precision throughout.

Modules are imported by name, for example ``from replica.landscapes.finders import newton_mr``.
"""
