"""Doors to other people's tools, a file each: Lightning, torchmetrics, Quantus, Captum, trackers, the hub, ONNX.

Importing this package imports none of them.
"""
