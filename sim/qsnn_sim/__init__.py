"""The models that judge a compiled network: spikes, clocks, RTL, energy.

It imports nothing of ours.
"""
