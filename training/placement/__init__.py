"""Where quantizers go: decided on the network as it computes, before quantization-aware training sees it."""
