"""The spiking core in Amaranth: streams in, a class out.

It may import `qsnn_hw.machine` and `amaranth`.
"""
