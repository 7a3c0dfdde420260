"""The command line of all packages, `qsnnc` and `qsnn`.

It may import `qsnn_compile.builds`, `qsnn_compile.chips`, `qsnn_compile.compare`,
`qsnn_compile.compiler`, `qsnn_compile.dialect`, `qsnn_compile.foreign`, `qsnn_compile.foreign.nir`,
`qsnn_compile.ir`, `qsnn_compile.lower`, `qsnn_compile.quantise`, `qsnn_compile.reals`,
`qsnn_compile.search`, `qsnn_compile.system`, `qsnn_hw.link`, `qsnn_models.data`,
`qsnn_models.errors`, `qsnn_models.export`, `qsnn_models.files`, `qsnn_models.network`,
`qsnn_models.training`, `qsnn_runtime.devices`, `qsnn_runtime.network`, `qsnn_sim.golden`,
`qsnn_sim.measure`, `qsnn_sim.rtl`, `distributed` and `matplotlib`.
"""
