"""Stochastic thermodynamics of small systems: what work, heat and information cost.

Units, in every module: energies in :math:`k_B T`, the diffusion constant and the mobility are one, entropies in nats
unless a name or a docstring says bits.

Modules are imported by name, for example ``from replica.thermodynamics.friction import friction_from_currents``.
"""
