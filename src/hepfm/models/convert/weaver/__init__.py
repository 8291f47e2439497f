"""Networks trained with weaver-core: weights, preprocessing and network files, none executed."""
