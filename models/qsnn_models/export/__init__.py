"""From a trained network to frozen integers, to our ONNX dialect, and from a module of another
library to ONNX.

It may import `qsnn_compile.ir`, `qsnn_models.errors`, `qsnn_models.files`, `qsnn_models.layers`,
`qsnn_models.network`, `onnx`, `onnxruntime` and `torch`.
"""
