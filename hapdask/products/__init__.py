"""What comes out: stores, Datasets, FITS files, pictures."""
