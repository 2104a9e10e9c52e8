"""Alignment of exposures: `run.align`, and what it finds.

Sources are detected in tasks, one for each exposure; the exposures of a visit then meet once, to be
aligned to each other and to a catalog; at the end all are solved together.  Nothing is written
until it is asked for (`writing`).
"""
