"""Detection, matching, solutions, reference catalogs and headerlets: they come with alignment."""
