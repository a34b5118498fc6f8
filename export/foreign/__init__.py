"""Networks that come quantized, as ONNX files: what is exact is converted, the rest refused by name."""
