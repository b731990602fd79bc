pare-profile 1
name             raspberry-pi-4-ncnn
class            cpu
device           Raspberry Pi 4 CPU
runtime          ncnn CPU
threads          1
clock            Cortex-A72, 1.5 GHz
source           Tencent/ncnn benchmark/README.md (commit a4d2ea1d44), lowest of its runs
rules            float32 only: of int8 too few networks are published to tell a gain (1.1 to 1.7 on such cores); zeros run as dense weights
macs-from        29368320
macs-to          16212066304

precision        fp32
weights          float32 float16 bfloat16
activations      float32 float16
activation-bytes 4
weight-bytes     4
fit              conv 1x1 dw group fc act weight layer other const
rows             23
error-model-out  8.453
error-family-out 8.85
band             1.556
rate             conv    0.08233
rate             1x1     0.2073
rate             dw      0.5202
rate             group   0.2525
rate             act     0.157
rate             weight  0.01978
rate             layer   1.129e+05
