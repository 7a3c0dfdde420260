"""The host's side of a board: the link's protocol, and a network on a device.

It may import `qsnn_compile.ir`, `qsnn_compile.lower`, `qsnn_compile.system`, `qsnn_hw.link`,
`qsnn_hw.machine` and `qsnn_runtime.devices`.
"""
