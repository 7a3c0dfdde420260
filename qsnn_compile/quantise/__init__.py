"""From the normal form in real numbers to the fixed-point IR, and what each rounding cost.

It may import `qsnn_compile.ir`, `qsnn_compile.reals` and `qsnn_compile.system`.
"""
