"""Finite neural networks in torch, many independent ones trained at once.

Modules are imported by name, for example ``from replica.networks.ensembles import train_centred``.
"""
