"""How a network is trained: recipes, the loop, checkpoints, sweeps, and what a training leaves
behind.

It may import `qsnn_compile.ir`, `qsnn_compile.system`, `qsnn_models.data`, `qsnn_models.errors`,
`qsnn_models.export`, `qsnn_models.files`, `qsnn_models.layers`, `qsnn_models.network` and `torch`.
"""
