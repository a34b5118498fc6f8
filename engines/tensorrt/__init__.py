"""TensorRT: sparse INT8 engines on NVIDIA GPUs, built, run, profiled, proven and validated. Imports no torch."""
