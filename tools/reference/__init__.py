"""What the comparisons stand on: official models with random weights, photographs, and sam-mm through its C API."""
