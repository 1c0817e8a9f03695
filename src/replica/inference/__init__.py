"""Fitting probabilistic models whose normalisation is out of reach: minimum probability flow and what it competes with.

Modules are imported by name, for example ``from replica.inference.minimum_probability_flow import ising_objective``.
"""
