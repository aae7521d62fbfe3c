// Package kernels holds the inner loops of Bitgrad: convolution, matrix product,
// pooling and elementwise loops over plain slices.
//
// A tensor is a slice and a Layout: channels last, with strides between images,
// rows and pixels, and as often as not a border around each image that holds
// real zero, so that padding costs no branch in a loop. In this layout one kernel
// row of a convolution is one contiguous run of KW·C values, and the three
// directions of a convolution (forward, gradient of the input, gradient of the
// weight) all are sums of strided matrix products: they run on GEMM, a product
// over several segments whose accumulators stay in registers, without im2col.
// For kernels of stride 1 there is a second way to them, Winograd, with fewer
// multiplications, and in front of a max pool one to the gradients, PooledGradient, that leaves
// out zeros.
//
// Each kernel has a portable form in Go and, on amd64, variants in assembly; cpu.Level
// chooses the highest that it allows:
//
//	kernel            variants                computes
//	accumulate        portable avx2 avx512    the adding of pooling
//	add bits          portable avx2 avx512    AddShiftBits, AddFloatBits
//	add codes         portable avx2 avx512    AddShift, AddFloat, AddShiftRows, AddFloatRows
//	affine            portable avx2 avx512    RequantizeAffine, AccumulatorRange, FiniteRange
//	channel sums      portable avx2 avx512    ChannelSums
//	compact           portable avx2            IntWeights.Compact: the unpacking of weights of four bits and two
//	depthwise         portable avx2 avx512    depthwise convolutions (rows of 3×3 by the form of AVX2), Average, SumCodes
//	divide            portable avx2 avx512    Average, AverageBackward
//	elementwise       portable avx2 avx512    ReLU, LeakyReLU, their Backward, Add, Axpy, Scale, ScaleBias, Mix, and AddReLU, ScaleBiasReLU, ScaleBiasAddReLU in one pass
//	gemm              portable avx2 avx512    GEMM: convolutions and linear layers
//	gemm8             portable vnni           GEMM8: the same on codes
//	gradient          portable avx2 avx512    DotCodes, SelectRange, SelectAccumulators, MixAccumulators
//	intconv           portable avx2 vnni amx  IntConv: on GEMM8, but for AVX2 and AMX
//	max window        portable avx2 avx512    Max, MaxCodes, MaxBackward
//	moments           portable avx2 avx512    ChannelMoments, ChannelProducts, AccMoments
//	multiply codes    portable avx2 avx512    MultiplyCodes
//	optimizers        portable avx2           Adam, Momentum, SumSquares
//	pack              portable avx2 avx512    PackForward, InputGradient.Pack, IntConv.Pack
//	pass bits         portable avx2 avx512    PassBits, SelectBits
//	peak dot          portable avx2 vnni      PeakDot: how fast codes can be multiplied
//	peak fma          portable avx2 avx512    PeakFMA: how fast floats can
//	peak tile         portable amx            PeakTile: how fast tiles of codes can
//	quantize          portable avx2 avx512    QuantizeCodes, FakeQuantize, Dequantize
//	requantize fixed  portable avx2 avx512    Requantize by fixed-point multipliers
//	requantize float  portable avx2 avx512    Requantize by floats, RequantizeFloat
//	requantize rows   portable avx2           RequantizeRows: rows with gaps in one call
//	requantize shift  portable avx2 avx512    Requantize by shifts, RequantizeShift
//	routes            portable avx2           PooledGradient.Route
//	sparse            portable avx2           SparseProduct: the gradients of convolutions in front of a max pool
//	unpack            portable avx2 avx512    UnpackWeightGrad
//	winograd          portable avx2 avx512    Winograd: the transforms; its products run on gemm
//
// Only in Go are softmax, whose exponentials are those of package math, the sums Sum and Dot in order, copies to and
// from NCHW and, but for AVX2, the packing of 8-bit weights larger than 1×1. The AVX2 forms of sums per channel and of
// max pooling want eight channels, and shorter rows fall back as well. The transforms of winograd take
// eight channels, or sixteen with AVX-512, which uses the form of AVX2 for the last eight that are left, as it does for rows
// with gaps and in front of pools.
//
// Integer and quantizing kernels give the same bytes
// on every level. Float products add their terms in the order of the formula, one
// accumulator per result, so that neither the number of threads nor the split
// of the work changes a byte; between levels they differ in rounding alone,
// because the vector units fuse multiply and add (docs/tolerances.md).
//
// Kernels allocate nothing, start no goroutine and return no error: whoever calls
// them has checked shapes before. An operand that is too short is a defect of the
// caller and panics with a message that begins with "kernels: ".
//
//	shape := kernels.ConvShape{C: 3, O: 16, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 32, W: 32}
//	err := shape.Complete() // strides, dilations and groups become 1, OH and OW 32
//	packed := make([]float32, shape.ForwardSize())
//	shape.PackForward(packed, weight)
//	shape.Forward(y, yl, x, xl, packed, bias, 0, batch)
package kernels
