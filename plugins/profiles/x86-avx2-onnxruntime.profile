pare-profile 1
name             x86-avx2-onnxruntime
class            cpu
device           x86 with AVX2 or AVX-512, without VNNI
runtime          ONNX Runtime CPU
threads          1
source           speed and accuracy: measured by pare's authors with ONNX Runtime 1.32, one thread, 2,000 images of CIFAR-10; kernels: microsoft/onnxruntime onnxruntime/core/mlas/lib (amd64/SymQgemmU8KernelAvx512.asm, intrinsics/avx2/qdwconv_avx2.cpp)
rules            uint8 activations with int8 weights are fast (resnet20: 1.6 times faster than float), but sums of two products are cut off at 16 bits: that cost 1.8 points on resnet20 and 8.25 on resnet8_large, and with all weights at 7 bits 0.35 and 0.85; step avoid-saturation widens only the scales that must be; int8 activations are exact and slower than float (resnet20: 0.76 times its speed, vww_mobilenet 0.7 times either way); with VNNI nothing is cut off; how long a network takes is not known
saturates        u8s8

precision        fp32
weights          float32 float16 bfloat16
activations      float32 float16
activation-bytes 4
weight-bytes     4
band             1

precision        int8
weights          int8 int6 int5 int4 int3 int2
activations      uint8 int8
activation-bytes 1
weight-bytes     1
band             1
