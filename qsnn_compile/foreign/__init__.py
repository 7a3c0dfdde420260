"""Files of other libraries: read into the normal form, calibrated and quantised on the way in.

It may import `qsnn_compile.foreign.nir`, `qsnn_compile.foreign.onnx`, `qsnn_compile.ir`,
`qsnn_compile.loader`, `qsnn_compile.passes`, `qsnn_compile.quantise`, `qsnn_compile.reals` and
`qsnn_compile.system`.
"""
