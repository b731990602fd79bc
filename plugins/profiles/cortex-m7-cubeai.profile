pare-profile 1
name             cortex-m7-cubeai
class            mcu
device           STM32H747 (Cortex-M7 400MHz)
runtime          STM32Cube.AI 10.0.0
threads          1
clock            400 MHz
source           int8: READMEs of stmicroelectronics/stm32ai-modelzoo (commit 6f10965e6a); float: the ratio of fp32 to int8 on an STM32H7A3 in mlcommons/tiny_results_v1.2 (Bosch HALE, 1.9, two networks), its interval set by hand; memories: data sheet of the STM32H747xI
rules            int8 weights with int8 activations run on its SIMD units; fewer bits and zeros are stored and run as dense int8; float32 runs about 1.9 times slower; RAM and flash are those inside the chip
ram              1048576
flash            2097152
fit-ram          peak const
ram-rows         17
ram-error        14.88
fit-flash        weight layer const
flash-rows       17
flash-error      0.59
macs-from        3848448
macs-to          4089184256
need-ram         peak    0.9201
need-ram         const   1.841e+04
need-flash       weight  1.023
need-flash       layer   1209
need-flash       const   4.031e+04

precision        int8
weights          int8 int6 int5 int4 int3 int2
activations      int8
activation-bytes 1
weight-bytes     1
fit              conv 1x1+group fc dw act weight layer+other const
rows             17
error-model-out  1.504
error-family-out 8.126
band             1.403
rate             conv    1.939
rate             1x1     2.58
rate             group   2.58
rate             fc      14.74
rate             act     26.82
rate             weight  1.904

precision        fp32
weights          float32 float16 bfloat16
activations      float32 float16
activation-bytes 4
weight-bytes     4
slow             without int8, about 1.9 times slower
like             int8
band             2
times            1.9
