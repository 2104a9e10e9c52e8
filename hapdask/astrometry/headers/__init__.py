"""What a WCS solution is called and tells of itself, and solutions carried from a mosaic back.

No file is written here: that is done by `hapdask.products.solutions`.
"""
