pare-profile 1
name             jetson-nano-tensorrt
class            gpu
device           Jetson Nano GPU
runtime          TensorRT (torch2trt)
clock            128-core Maxwell, 921 MHz
source           NVIDIA-AI-IOT/torch2trt benchmarks/JETSON_NANO.md (commit 4e820ae31b), networks of torchvision
rules            everything runs in float16, which float32 networks gain from without any change; this GPU has no int8: lower bits save memory only; zeros run as dense weights (2:4 needs Ampere)
macs-from        349151936
macs-to          15470264320

precision        fp16
weights          float16 float32 bfloat16
activations      float16 float32
activation-bytes 2
weight-bytes     2
fit              conv+group+dw 1x1 fc act+weight layer+other
rows             16
error-model-out  3.654
error-family-out 4.799
band             1.223
rate             conv    0.00356
rate             1x1     0.004066
rate             dw      0.00356
rate             group   0.00356
rate             fc      0.08783
rate             act     0.05157
rate             weight  0.05157
rate             layer   8.381e+04
rate             other   8.381e+04
