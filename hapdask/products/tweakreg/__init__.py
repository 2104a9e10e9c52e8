"""Text files of an alignment under TweakReg's names: shifts, source lists, matches, residuals.

Not here: headers and headerlets (`hapdask.products.solutions`), pictures.
"""
