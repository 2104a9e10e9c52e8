"""The WCS of dispersed exposures, which have no stars to align: it follows the direct images'.

`names` finds a WCS that exposures have in common; `between` the correction between two WCSs of one
exposure; `carrying` carries the direct images' correction over.

Source of the compat rule: facts of HAP's ``hapsequencer``.  Not followed by default: upstream gives
the direct images the common a-priori WCS too, and so throws away their fit.
"""
