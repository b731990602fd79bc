pare-profile 1
name             raspberry-pi-4-tflite
class            cpu
device           Raspberry Pi 4 CPU
runtime          tflite-v2.7.1-ruy
threads          default
clock            4 x Cortex-A72, 1.5 GHz
source           MLPerf Inference v2.1, open division, edge single stream, by Krai (mlcommons/inference_results_v2.1, commit 91f7859b8b); what it takes: TensorFlow Lite 8-bit quantization specification (tensorflow.org/lite/performance/quantization_spec)
rules            float32, and int8 weights with int8 activations, about 2.5 times faster; other formats run as one of the two; zeros run as dense weights; between int8 and float layers activations are converted
takes-scales     per-channel, per-tensor
takes-codes      symmetric, power-of-two
takes-ranges     static, symmetric, power-of-two
macs-from        11935408
macs-to          2553034336

precision        fp32
weights          float32 float16 bfloat16
activations      float32 float16
activation-bytes 4
weight-bytes     4
fit              conv+1x1+group+fc dw act layer+other const
rows             42
error-model-out  5.463
error-family-out 9.975
band             1.408
rate             conv    0.07122
rate             1x1     0.07122
rate             dw      0.07811
rate             group   0.07122
rate             fc      0.07122
rate             act     0.702
rate             layer   1.74e+04
rate             other   1.74e+04
rate             const   9.391e+05

precision        int8
weights          int8 int6 int5 int4 int3 int2
activations      int8
activation-bytes 1
weight-bytes     1
fit              conv+1x1+group+fc dw act layer+other const
rows             39
error-model-out  2.769
error-family-out 4.903
band             1.164
rate             conv    0.02884
rate             1x1     0.02884
rate             dw      0.1882
rate             group   0.02884
rate             fc      0.02884
rate             act     0.7152
rate             layer   2.144e+04
rate             other   2.144e+04
rate             const   1.274e+05
