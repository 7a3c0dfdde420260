"""Networks of these layers, their configuration and their notation.

It may import `qsnn_compile.ir`, `qsnn_models.errors`, `qsnn_models.layers` and `torch`.
"""
