"""ONNX files as they lie on a disk: the one loader under both front ends, which checks a file
before anyone reads it.

It may import `qsnn_compile.ir`, `qsnn_compile.system` and `onnx`.
"""
