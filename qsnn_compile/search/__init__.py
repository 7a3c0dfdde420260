"""All machines that a network can be on a chip, and the one that the user's goal asks for.

It may import `qsnn_compile.builds`, `qsnn_compile.chips`, `qsnn_compile.ir`, `qsnn_compile.lower`,
`qsnn_compile.passes`, `qsnn_compile.system` and `qsnn_hw.machine`.
"""
