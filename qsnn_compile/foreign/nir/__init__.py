"""NIR files: read into the normal form, stepped as their library steps them, and written.

It may import `qsnn_compile.ir`, `qsnn_compile.quantise`, `qsnn_compile.reals` and
`qsnn_compile.system`.
"""
