"""Cutting objects out of photographs: segmentation models, alpha matting, review flags and output files."""
