"""Training of depth networks of the DenseDepth family; see README.md in this folder. Not installed with the package."""
