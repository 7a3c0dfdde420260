"""The RTL under a simulator, and its comparison with the models.

It may import `qsnn_compile.ir`, `qsnn_compile.lower`, `qsnn_compile.system`, `qsnn_hw.machine`,
`qsnn_sim.cycle` and `qsnn_sim.golden`.
"""
