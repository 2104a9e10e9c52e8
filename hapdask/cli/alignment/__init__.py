"""``hapdask align``: exposures to each other and to a reference catalog, with TweakReg's options.

`command` is the command, `options` what can be typed, `view` what is shown.  Not here: what is
then done (`hapdask.recipes.alignment`).
"""
