"""Foreign ONNX graphs become the normal form: layers, neurons, readout.

It may import `qsnn_compile.foreign.onnx.neurons`, `qsnn_compile.foreign.onnx.trace`,
`qsnn_compile.loader`, `qsnn_compile.reals` and `onnx`.
"""
