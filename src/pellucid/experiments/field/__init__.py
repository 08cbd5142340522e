"""Gradient fields of small networks in the plane, with and without a misalignment term (definitions §3.1).

The text of Train2Explain is not public: the misalignment measures and all claims tested here are our reading of its
abstract.
"""
