"""The command line: one small module per command, and what they share.

Nothing here is a library: every command only reads its options, calls a recipe and shows what
came of it.
"""
