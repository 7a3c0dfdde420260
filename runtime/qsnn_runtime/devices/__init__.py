"""Devices that answer the requests of the link.

It may import `qsnn_compile.system` and `qsnn_hw.link`.
"""
