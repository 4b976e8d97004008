//! Reads Segment Anything checkpoints (.pth, .pt, .safetensors) without running code in them, and finds out which model they hold.
