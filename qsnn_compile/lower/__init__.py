"""A legal graph becomes stages, stages become layers, layers a machine with its memories: the
program.

It may import `qsnn_compile.ir`, `qsnn_compile.system`, `qsnn_hw.link` and `qsnn_hw.machine`.
"""
