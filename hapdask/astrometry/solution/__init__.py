"""The joint solution: all exposures of a region in one sparse weighted least squares.

Unknowns are one correction per exposure, a position and a proper motion per source; known are the
detections, reference stars, what is probable of proper motions, and how wrong headers are.
`association` says which detections are one source, `solving.solve` solves, a `release.Release` is
what is kept, as plain data; `changes.compare` says what another release moves.

Source: the block structure is that of bundle adjustment and of astrometric block solutions
(Lindegren et al. 2012, A&A 538, A78); sources are eliminated by their Schur complement.
"""
