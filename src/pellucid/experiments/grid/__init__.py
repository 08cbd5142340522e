"""Grids: a file of axes becomes cells, each a run directory; any number of machines finish them together.

Nothing is imported here: looking at a grid (:mod:`.status`) needs no torch.
"""
