"""From photographs to cut-outs: what finds the object, what makes the edge good, what looks doubtful, what is left."""
