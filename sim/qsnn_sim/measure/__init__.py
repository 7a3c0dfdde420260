"""What `qsnn sim` measures: accuracy, latency, work, energy.

It may import `qsnn_compile.builds`, `qsnn_compile.chips`, `qsnn_compile.ir`, `qsnn_compile.lower`,
`qsnn_compile.search`, `qsnn_compile.system`, `qsnn_hw.core`, `qsnn_hw.machine`, `qsnn_sim.cycle`,
`qsnn_sim.golden` and `qsnn_sim.rtl`.
"""
