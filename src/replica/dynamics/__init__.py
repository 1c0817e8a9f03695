"""Learning dynamics: gradient flow from small initialisation, and its closed forms for linear networks.

* :mod:`replica.dynamics.linear_networks`: deep linear networks (gradient, tangent kernel, conservation law, flow).
* :mod:`replica.dynamics.linear_theory`: the closed forms that small initialisation allows.
* :mod:`replica.dynamics.gradient_flow`: gradient flow of torch networks, many seeds at once, each with its own clock.
* :mod:`replica.dynamics.kernel_evolution`: the tangent kernel during training, and regression with its last shape.
* :mod:`replica.dynamics.adam`: one step of Adam for gradients written by hand.
"""
