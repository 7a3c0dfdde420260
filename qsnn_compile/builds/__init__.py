"""The build folder, the FPGA tools that fill it, and its report.

It may import `qsnn_compile.chips`, `qsnn_compile.ir`, `qsnn_compile.lower`, `qsnn_compile.system`,
`qsnn_hw.boards`, `qsnn_hw.core` and `qsnn_hw.machine`.
"""
