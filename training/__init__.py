"""Training of DenseDepth networks. See README.md in this folder. Not part of the installed package."""
