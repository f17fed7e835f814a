"""Each formula once, as pure functions of tensors. Sums run over dimensions; results have one value per row."""
