"""A foreign model in its own runtime, in floats and in integers, spike by spike.

It may import `qsnn_compile.dialect`, `qsnn_compile.foreign`, `qsnn_compile.foreign.nir`,
`qsnn_compile.foreign.onnx.trace`, `qsnn_compile.ir`, `qsnn_compile.loader`,
`qsnn_compile.quantise`, `qsnn_compile.reals`, `qsnn_compile.system`, `onnx` and `onnxruntime`.
"""
