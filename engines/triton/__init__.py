"""Handing an engine over to Triton Inference Server: a folder of its model repository. Imports nothing of Triton's."""
