"""From exposure records to tiles: plans as data, the leaf that makes a tile, and its graphs."""
