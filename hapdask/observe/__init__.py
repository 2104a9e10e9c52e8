"""Exposures: reading their headers, judging them, and the records that everything else reads.

`exposure.open_exposures` opens files; `record.ExposureRecord` is what comes out;
`pixels.read_chip_rows` turns a record into arrays.  Imports nothing by itself.
"""
