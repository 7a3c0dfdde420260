"""Layers of a network in training: weights, membranes, neurons, pools, and their gradients.

It may import `qsnn_models.errors` and `torch`.
"""
