"""The normal form, a spiking network in real numbers: its simulation in floats and its calibration
on data.

It may import `qsnn_compile.system`.
"""
