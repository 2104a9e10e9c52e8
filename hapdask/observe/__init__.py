"""Exposures: reading their headers, judging them, and the records that everything else reads.

`exposure.open_exposures` opens files; `record.ExposureRecord` is what comes out;
`pixels.read_chip_rows` turns a record into arrays.  Whatever a user has in hand becomes a list
of files in `inputs`; which WCS of a file is used is decided in `solutions`; bytes come through
`source` (local, http, S3, .gz).  Imports nothing by itself.
"""
