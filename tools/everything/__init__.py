"""Compares the masks of everything in an image with those of the official generators, on the same weights."""
