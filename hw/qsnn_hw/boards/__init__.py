"""The core on a board: clock, reset, pins.

It may import `qsnn_hw.core`, `qsnn_hw.link` and `amaranth`.
"""
