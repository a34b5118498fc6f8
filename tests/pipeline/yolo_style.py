"""A detector in the style of YOLO, small: what its exports have that plain classifiers have not."""

from __future__ import annotations

import torch
from torch import nn


def block(ins, outs, kernel=3, stride=1):
    return nn.Sequential(nn.Conv2d(ins, outs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outs), nn.SiLU())


class C2f(nn.Module):
    def __init__(self, ins, outs):
        super().__init__()
        self.half = outs // 2
        self.first, self.last = block(ins, outs, 1), block(3 * self.half, outs, 1)
        self.inner = nn.Sequential(block(self.half, self.half), block(self.half, self.half))

    def forward(self, x):
        left, right = self.first(x).split((self.half, self.half), 1)
        return self.last(torch.cat([left, right, right + self.inner(right)], 1))


class Pools(nn.Module):
    """SPPF: the same pool three times, and all of it side by side."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.last = block(channels, channels // 2, 1), block(2 * channels, channels, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        found = [self.first(x)]
        for _ in range(3):
            found.append(self.pool(found[-1]))
        return self.last(torch.cat(found, 1))


class YoloStyle(nn.Module):
    """Backbone, neck and a head that decodes boxes: distances as softmax over bins, from a grid of anchors."""

    bins, classes = 4, 4

    def __init__(self):
        super().__init__()
        self.stem, self.down = nn.Sequential(block(3, 8, 3, 2), C2f(8, 8)), nn.Sequential(block(8, 16, 3, 2), Pools(16))
        self.neck = C2f(24, 16)
        self.boxes, self.scores = nn.Conv2d(16, 4 * self.bins, 1), nn.Conv2d(16, self.classes, 1)
        self.sum = nn.Conv2d(self.bins, 1, 1, bias=False)
        self.sum.weight.data = torch.arange(self.bins, dtype=torch.float32).view(1, -1, 1, 1)

    def forward(self, images):
        shallow = self.stem(images)
        deep = nn.functional.interpolate(self.down(shallow), scale_factor=2.0)
        x = self.neck(torch.cat([deep, shallow], 1))
        n, _, h, w = x.shape
        distances = self.boxes(x).view(n, 4, self.bins, h * w).transpose(2, 1).softmax(1)
        distances = self.sum(distances).view(n, 4, h * w)
        y, across = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        anchors = torch.stack((across, y), -1).view(-1, 2).transpose(0, 1).unsqueeze(0)
        low, high = distances.chunk(2, 1)
        low, high = anchors - low, anchors + high
        boxes = torch.cat(((low + high) / 2, high - low), 1) * 2
        return torch.cat((boxes, self.scores(x).view(n, self.classes, h * w).sigmoid()), 1)


def export(path):
    """Write it as ONNX, with a dynamic batch, as YOLO's own exporter does."""
    torch.manual_seed(0)
    network = YoloStyle().eval()
    names = {"input_names": ["images"], "output_names": ["found"], "dynamic_axes": {"images": {0: "n"}}}
    torch.onnx.export(network, torch.rand(1, 3, 16, 16), path, opset_version=17, dynamo=False, **names)
    return path
