"""CUDA through `cuda-python`: device, memory, streams, graphs, and a stopwatch that drives any callable on a stream.

Needs NumPy and cuda-python only, so that it runs beside TensorRT as well as beside torch alone.
"""
