"""Optical meshes of Mach-Zehnder interferometers: exact decompositions, imperfect devices, optical neural networks.

Angles are in radians, amplitudes complex, modes counted from zero. Imperfections are standard deviations: of phases in
radians, of the beam splitters' amplitude reflectivity without unit.

Modules are imported by name, for example ``from replica.optics.decomposition import clements_decompose``.
"""
