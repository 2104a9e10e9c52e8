"""Which source is which reference star: two lists of sky positions in a common tangent plane.

``places``    the lists, with their errors, and their tangent plane
``offsets``   search for the shift (and small rotation) between them by a histogram of pairs
``chance``    how often lists that have nothing in common would match as well
``nearest``   one-to-one matches within the errors
``upstream``  the same by the rules of TweakReg and HAP (tweakwcs's XYXYMatch)

Our own search and matching stand beside tweakwcs's because the latter tells no significance, has
bins of one pixel whatever the errors and rotations are, lets two references share one source, and
knows no errors.
"""
