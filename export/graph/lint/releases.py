"""What the ONNX parser of each TensorRT release imports, as far as that has been published.

The list of operators is the one that onnx-tensorrt publishes with 10.15 (docs/operators.md); which of them came after
10.12 is read off its change log (docs/Changelog.md) and off the release notes of 11.0 (Swish) and 11.5 (opset 25).
No list of 10.12 to 10.14, 10.16 or 11.x was at hand: for the former the list of 10.15 less what came later stands, for
the latter the list of 10.15 and what their release notes add. No operator has been taken out since 10.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....common.errors import UserError

OLDEST_OPSET = 9
LISTED = (10, 15)

_IMPORTED = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BlackmanWindow Cast
CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace
DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND
Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization
HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageScaler InstanceNormalization IsInf IsNaN LRN
LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean
MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow
QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal
ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu
Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT ScaledTanh Scan Scatter ScatterElements ScatterND
Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum
Swish Tan Tanh TensorScatter ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
_REFUSED = """
AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im Compress
ConcatFromSequence ConvInteger DFT Det DynamicQuantizeLinear ImageDecoder MatMulInteger MaxRoiPool MaxUnpool
MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement OptionalHasElement QLinearConv
QLinearMatMul RegexFullMatch SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer StringSplit TfIdfVectorizer Unique
"""
IMPORTED, REFUSED = frozenset(_IMPORTED.split()), frozenset(_REFUSED.split())

SINCE = {
    "Attention": (10, 14), "RMSNormalization": (10, 15), "RotaryEmbedding": (10, 15), "Swish": (11, 0),
    "TensorScatter": (10, 15),
}


@dataclass(frozen=True)
class Release:
    """A release of TensorRT.

    Attributes:
        version: major and minor number.
        opset: the newest that it is known to import.
        limit: the newest that it may import: that of the ONNX release that it is built with. Between the two, nobody
            has said.
        ir: the IR version of that ONNX release.
    """

    version: tuple[int, int]
    opset: int
    limit: int
    ir: int

    @property
    def name(self) -> str:
        """`10.13`."""
        return ".".join(map(str, self.version))


# 10.9 imports opset 21 (change log); 10.11 is built with ONNX 1.18, which ends at opset 23 and IR 11; the opset guide
# of 11.x says ONNX 1.20 and opset 25, where the release notes of 11.5 say that opset 25 is new there
RELEASES = (
    Release((10, 12), 21, 23, 11), Release((10, 13), 21, 23, 11), Release((10, 14), 21, 24, 12),
    Release((10, 15), 24, 24, 12), Release((10, 16), 24, 25, 13), Release((11, 0), 24, 25, 13),
    Release((11, 1), 24, 25, 13), Release((11, 2), 24, 25, 13), Release((11, 3), 24, 25, 13),
    Release((11, 4), 24, 25, 13), Release((11, 5), 25, 25, 13),
)


def find_release(text: str) -> Release:
    """The release that a user names: `10.13`, or longer, such as `10.13.3.9`.

    Raises:
        UserError: it is no version, or nothing is known of it.
    """
    known = ", ".join(release.name for release in RELEASES)
    parts = text.strip().split(".")
    if len(parts) >= 2 and all(part.isascii() and part.isdigit() for part in parts):
        version = (int(parts[0]), int(parts[1]))
        for release in RELEASES:
            if release.version == version:
                return release
    raise UserError(f"Nothing is known of TensorRT {text!r}.", where="--tensorrt", fix=f"Known are {known}.")


__all__ = ["IMPORTED", "LISTED", "OLDEST_OPSET", "REFUSED", "RELEASES", "SINCE", "Release", "find_release"]
