// The only file that asks the processor.
#include "dispatch.h"

#include <cstdlib>
#include <cstring>

namespace counterpoise {
#if defined(COUNTERPOISE_X86_64)
namespace x86_64_v4 {
extern const Kernels kernels;
}
namespace x86_64_v3 {
extern const Kernels kernels;
}
#endif
namespace baseline {
extern const Kernels kernels;
}

const Kernels* kernels_that_run(int i) {
#if defined(COUNTERPOISE_X86_64)
    __builtin_cpu_init();
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                      __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt");
    if (avx512 && avx2 && i-- == 0) return &x86_64_v4::kernels;
    if (avx2 && i-- == 0) return &x86_64_v3::kernels;
#endif
    return i == 0 ? &baseline::kernels : nullptr;
}

const Kernels* best_kernels(const char** unknown) {
    const char* forced = std::getenv("COUNTERPOISE_ISA");
    if (!forced || !*forced) return kernels_that_run(0);
    for (int i = 0; const Kernels* kernels = kernels_that_run(i); ++i)
        if (std::strcmp(kernels->name, forced) == 0) return kernels;
    *unknown = forced;
    return nullptr;
}

}  // namespace counterpoise
