"""Reports of runs: what they hold (`model`), and their one HTML file and JSON (`render`)."""
