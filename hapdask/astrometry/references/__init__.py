"""Reference catalogs: where the stars are that exposures are aligned to.

`catalog.ReferenceCatalog` is the noun; `finding.find_references` asks sources in turn and tells
what each answered.  Sources: a file or table (`files`), HEALPix-partitioned Parquet
(`partitions`), the GSSS service (`gsss`), a TAP service such as Gaia's (`tap`).  Every one of
them hands its table to `standard.standardise`, which recognises columns and units and drops what
cannot be used.  Nothing here knows of exposures or of fits.
"""
