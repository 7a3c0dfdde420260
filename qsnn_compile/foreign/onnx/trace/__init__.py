"""A foreign ONNX graph run on ids in place of numbers: blocks, moves, loops, and the one time step
that they repeat.

It may import `qsnn_compile.loader`, `qsnn_compile.reals` and `onnx`.
"""
