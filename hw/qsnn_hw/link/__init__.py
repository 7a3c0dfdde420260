"""What crosses the link to a host: frames and beats as plain data, and the UART in gateware.

It may import `qsnn_hw.core`, `qsnn_hw.machine` and `amaranth`.
"""
