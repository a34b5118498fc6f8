"""Networks that were quantized elsewhere and come as ONNX files: what is exact is converted, the rest refused by name."""
