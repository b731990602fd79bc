pare-profile 1
name             coral-edge-tpu
class            npu
device           Coral Edge TPU
runtime          TensorFlow Lite, Edge TPU compiler
source           coral.withgoogle.com/docs/edgetpu/models-intro (fully 8-bit quantized models alone); TensorFlow Lite 8-bit quantization specification (tensorflow.org/lite/performance/quantization_spec)
rules            int8 weights without zero points and int8 or uint8 activations with bounds known before; anything else runs on the host's CPU; how long a network takes is not known
takes-weights    int8
takes-activations int8, uint8
takes-scales     per-channel, per-tensor
takes-codes      symmetric, power-of-two
takes-ranges     static, symmetric, power-of-two

precision        int8
weights          int8
activations      int8 uint8
activation-bytes 1
weight-bytes     1
band             1
