"""Measures sam-mm against the official PyTorch code and ONNX Runtime: same machine, same threads, one run."""
