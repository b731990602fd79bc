pare-profile 1
name             vitis-ai-dpu
class            npu
device           DPU of AMD (Xilinx) adaptive SoCs
runtime          Vitis AI 3.5
source           Vitis AI User Guide UG1414 3.5, Quantizing with Float Scale: the DPU wants power-of-two scales, symmetric, per tensor
rules            int8 weights with int8 activations, scales powers of two, one a tensor, no zero points; anything else does not run on it; how long a network takes is not known
takes-weights    int8
takes-activations int8
takes-scales     per-tensor
takes-codes      power-of-two
takes-ranges     power-of-two

precision        int8
weights          int8
activations      int8
activation-bytes 1
weight-bytes     1
band             1
