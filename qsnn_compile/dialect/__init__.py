"""Our own ONNX dialect: a file of integers becomes a graph of the IR.

It may import `qsnn_compile.ir`, `qsnn_compile.loader` and `onnx`.
"""
