"""Hand-written kernels: the same numbers as the plain layers above them, faster on a CPU.

Each stands behind one layer, whose file has the formula in torch's operators. Nothing else calls a kernel,
and each has a test that compares it with that formula.

| kernel | called by | what it saves on a CPU |
|---|---|---|
| `convolution` | `hepfm.nn.linear` | up to half the time of large products with AVX-512 |
| `biased_attention` | `hepfm.nn.attention` | copies and passes of attention with learned bias or dropout |
| `fast_tanh` | `hepfm.nn.dynamic_tanh` | most of the time of tanh |
| `gather` | `hepfm.nn.packing` | passes over the tokens between layouts |
| `moments` | `hepfm.nn.batchnorm` | passes over the inputs on the way back |
| `dropout_mask` | `hepfm.nn.dropout` | most of the time of random numbers |

``HEPFM_KERNELS=off`` in the environment turns all of them off, see `hepfm.nn.kernels.switch`.
"""
