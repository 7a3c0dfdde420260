"""The cocotb benches, which run inside the simulator.

It may import `qsnn_hw.link`, `qsnn_hw.machine`, `qsnn_sim.cycle`, `qsnn_sim.rtl` and `cocotb`.
"""
