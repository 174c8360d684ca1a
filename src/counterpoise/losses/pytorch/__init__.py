"""The losses of PyTorch tensors: at once, in graphs, as modules, over processes; `loss` is where all begin."""
