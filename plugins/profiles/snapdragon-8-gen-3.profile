pare-profile 1
name             snapdragon-8-gen-3
class            npu
device           snapdragon-8gen3 HTP
runtime          AI Hub tflite
clock            Hexagon HTP v75
source           perf.yaml of quic/ai-hub-models (commit 52c080d245), Samsung Galaxy S24; few of these networks have published layers, so the intervals are wide
rules            float networks run in float16; int8 weights with int8 activations are 2.4 to 2.7 times faster on convolutional networks; int4 is supported, but no gain over int8 is published; zeros run as dense weights; activations are stored as multiples of 32 channels (Qualcomm, QNN HTP guidelines, "Avoid low depth Activations")
channels         32
macs-from        40476448
macs-to          17563828224

precision        fp16
weights          float16 float32 bfloat16
activations      float16 float32
activation-bytes 2
weight-bytes     2
fit              conv+1x1+group+fc dw act+weight layer+other const
rows             9
error-model-out  8.085
error-family-out 7.731
band             1.307
rate             conv    0.0002712
rate             1x1     0.0002712
rate             dw      0.004286
rate             group   0.0002712
rate             fc      0.0002712
rate             layer   2156
rate             other   2156
rate             const   3.104e+05

precision        int8
weights          int8 int6 int5 int4 int3 int2
activations      int8
activation-bytes 1
weight-bytes     1
like             fp16
fit              times
rows             6
error-model-out  31.97
error-family-out 40.75
band             2.531
times            0.3705
