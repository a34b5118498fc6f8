"""From PyTorch to ONNX with Q/DQ, and the bundle. Importing it imports no torch."""
