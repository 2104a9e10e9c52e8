"""Which WCS of an exposure is used: the file's own, or another that was solved for it.

`choose.Solutions` puts the one that is asked for in place of the primary WCS of a scanned file:
an alternate WCS, a headerlet inside the file or beside it, or one that stwcs makes from
reference tables.  No file is changed.
"""
