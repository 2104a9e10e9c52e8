"""What users say is bad, or how good: mask files, regions, persistence, blobs, inverse variances.

`attach_masks` and `attach_ivm` turn them into one file per chip beside the store (`masks`) and
put references to those into the records.  Imports nothing by itself.
"""
