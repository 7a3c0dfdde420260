"""The golden model: the IR's integer interpreter, the judge of every other engine.

It may import `qsnn_compile.ir`.
"""
