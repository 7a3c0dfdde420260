"""The machine as plain data: parameters, memory map, schedule; no HDL.

It imports nothing of ours.
"""
