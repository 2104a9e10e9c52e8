"""Files of the steps of a run, which are kept on request: their names, and how they are written."""
