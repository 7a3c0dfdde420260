"""The cycle model: exact clocks from event counts, and the proven worst case.

It may import `qsnn_hw.machine`.
"""
