"""The WCS of dispersed exposures, which have no stars to align: it follows the direct images'.

`starting` lists the WCSs of files and opens them, `between` finds the correction between two of one
exposure, `carrying` carries the direct images' correction over; `common` is the compat rule.

Source of the compat rule: facts of HAP's ``hapsequencer``.  Not followed by default: upstream gives
the direct images the common a-priori WCS too, and so throws away their fit.
"""
