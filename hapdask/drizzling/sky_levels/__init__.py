"""Sky levels that couple exposures: AstroDrizzle's methods, and how they are solved.

Levels are surface brightness, SCI units per second and square arcsecond, of one system of flux
where fluxes are scaled; one level serves all chips of an exposure.

``geometry``  which pixels of a chip lie on another chip
``coverage``  which exposures overlap, and which pairs are measured
``measuring`` usable pixels of a chip, and their statistic
``solving``   differences to levels: least squares, groups, covariance; plain arrays
``solution``  what comes out: frozen, plain data, applied to records
``given``     levels and masks from users' files
``methods``   localmin, globalmin, match, globalmin+match

``convention="upstream"`` does as AstroDrizzle 3.11: ImageStats with its quirks; all pairs, weighted
by the square of their mean number of pixels; one minimum for all groups, although groups that do
not overlap have nothing in common; exposures without any overlap get 0.  Our own: the largest
overlaps, enough to connect what can be connected, weighted by their statistical errors; every group
has its own zero, the lowest level in it, and says so.
"""
