"""Exposures of which nothing could be told by themselves: they follow others of their visit.

`guide_stars` tells whether two exposures were guided alike, and how much those that are followed
may differ; `followers` places direct exposures.  Not here: dispersed ones
(`hapdask.astrometry.grism`), and whether an exposure trails (`hapdask.astrometry.guiding`).
"""
