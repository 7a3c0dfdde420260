"""The machine: plain data, the core in Amaranth, its link and its boards.

It imports nothing of ours.
"""
