"""Which machine a command works on: from options, command lines and what firmware and kernels tell of machines."""
