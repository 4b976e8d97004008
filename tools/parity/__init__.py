"""Runs sam-mm and the official implementation side by side on the same weights and compares what comes out."""
