"""What every room stands on: errors, files and arrays that a user names, outputs, other programs,
text on a terminal.

It imports nothing of ours.
"""
