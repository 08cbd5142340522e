"""Pellucid: image classifiers whose plain input gradients can be read as explanations.

The package is a library first: every objective, attribution, filter and metric is a plain function that works inside
anybody's training loop. ``pellucid.cli`` is the command line. Importing ``pellucid`` itself imports nothing heavy.
"""

__version__ = "0.1.0"
