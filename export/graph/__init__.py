"""Passes and checks on ONNX alone: no torch, no engine."""
