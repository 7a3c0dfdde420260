"""Neurons, read off one time step as piecewise-affine regions between the input current, the old
state and the new state.

It may import `qsnn_compile.foreign.onnx.trace`, `qsnn_compile.loader` and `qsnn_compile.reals`.
"""
