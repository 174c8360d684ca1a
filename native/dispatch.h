// Which instruction sets this binary has and this machine runs.
#pragma once
#include "kernels.h"

namespace counterpoise {

// The kernels of the best instruction set that runs here, or of the one that COUNTERPOISE_ISA names; null with that
// name in `unknown` where it does not run here.
const Kernels* best_kernels(const char** unknown);

// The i-th table that runs here, best first, or null.
const Kernels* kernels_that_run(int i);

}  // namespace counterpoise
