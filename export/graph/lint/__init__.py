"""What TensorRT will make of an ONNX graph, said before there is an engine: `lint` and `predict`."""
