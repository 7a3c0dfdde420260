"""What a chip has, and what a machine takes of it: cells, memories, energy.

It may import `qsnn_compile.system` and `qsnn_hw.machine`.
"""
