// The only file that knows Python: takes addresses and gives numbers. `losses/kernel.py` checks what it hands over here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "dispatch.h"
#include "loss.h"
#include "recipe.h"
#include "xla_call.h"

namespace nb = nanobind;
using namespace counterpoise;

const Kernels* counterpoise::chosen = nullptr;

namespace {

std::vector<std::string> names_here() {
    std::vector<std::string> names;
    for (int i = 0; const Kernels* kernels = kernels_that_run(i); ++i) names.emplace_back(kernels->name);
    return names;
}

void choose_kernels(const std::string& name) {
    for (int i = 0; const Kernels* kernels = kernels_that_run(i); ++i)
        if (name == kernels->name) {
            chosen = kernels;
            return;
        }
    throw nb::value_error("no such instruction set here");
}

nb::tuple given(const Outcome& outcome) { return nb::make_tuple(outcome.loss, outcome.divisor, outcome.odd); }

template <class Call>
Outcome without_lock(bool release, Call call) {
    if (!release) return call();
    nb::gil_scoped_release unlocked;
    return call();
}

constexpr int64_t worth_releasing = 4096;  // elements; below, giving up the lock costs more than the work

template <class T>
T* at(uintptr_t address) {
    return reinterpret_cast<T*>(address);
}

}  // namespace

NB_MODULE(_kernels, m) {
    nb::set_leak_warnings(false);  // recipes in this form are kept until the process ends
    m.doc() = "Compiled losses: addresses in, numbers out.";
    nb::class_<Softmax>(m, "Softmax")
        .def(nb::init<std::vector<double>, std::vector<double>, std::vector<double>, std::vector<double>,
                      std::vector<double>, double, double, double, double, int, bool>())
        .def("loss", [](const Softmax& self, int64_t outer, int64_t inner, uintptr_t logits, int logits_type,
                        int64_t outer_stride, int64_t inner_stride, int64_t class_stride, uintptr_t target,
                        int target_type, bool hard, int64_t target_outer, int64_t target_inner, int64_t target_class,
                        uintptr_t sample_weight, int weight_type, uintptr_t gradient, uintptr_t curvature,
                        int gradient_type, int64_t gradient_outer, int64_t gradient_inner, int64_t gradient_class,
                        bool fresh, uintptr_t loss, int loss_type, bool ignores, int64_t ignore_index, int reduction,
                        double normalizer, int threads, double curvature_factor, double per_gradient, double floor) {
            SoftmaxBatch batch{outer,
                               inner,
                               at<const void>(logits),
                               at<const void>(target),
                               at<const void>(sample_weight),
                               at<void>(gradient),
                               at<void>(curvature),
                               at<void>(loss),
                               {outer_stride, inner_stride, class_stride},
                               {target_outer, target_inner, target_class},
                               {gradient_outer, gradient_inner, gradient_class},
                               Type(logits_type),
                               Type(target_type),
                               Type(weight_type),
                               Type(gradient_type),
                               Type(loss_type),
                               hard,
                               ignores,
                               ignore_index,
                               1.0,
                               {curvature_factor, per_gradient, floor, floor > 0}};
            const Work work{chosen, threads, Reduction(reduction), normalizer, fresh};
            return given(without_lock(outer * inner * self.recipe.classes > worth_releasing,
                                      [&] { return softmax_loss(work, self.recipe, batch); }));
        });
    nb::class_<Sigmoid>(m, "Sigmoid")
        .def(nb::init<std::vector<double>, std::vector<double>, std::vector<double>, std::vector<double>, double,
                      double, double, double, double, double>())
        .def("loss", [](const Sigmoid& self, int64_t size, int64_t run, uintptr_t logits, int logits_type,
                        uintptr_t target, int target_type, uintptr_t sample_weight, int weight_type,
                        uintptr_t gradient, uintptr_t curvature, int gradient_type, bool fresh, uintptr_t loss,
                        int loss_type, bool ignores, double ignore_value, int reduction, double normalizer, int threads,
                        double curvature_factor, double per_gradient, double floor) {
            SigmoidBatch batch{size,
                               run,
                               at<const void>(logits),
                               at<const void>(target),
                               at<const void>(sample_weight),
                               at<void>(gradient),
                               at<void>(curvature),
                               at<void>(loss),
                               Type(logits_type),
                               Type(target_type),
                               Type(weight_type),
                               Type(gradient_type),
                               Type(loss_type),
                               ignores,
                               ignore_value,
                               1.0,
                               {curvature_factor, per_gradient, floor, floor > 0}};
            const Work work{chosen, threads, Reduction(reduction), normalizer, fresh};
            return given(without_lock(size > worth_releasing, [&] { return sigmoid_loss(work, self.recipe, batch); }));
        });
    m.def("instruction_sets", names_here, "Names of those that run here, best first.");
    m.def("instruction_set", [] { return std::string(chosen->name); });
    m.def("use_instruction_set", choose_kernels);
    m.def(
        "xla_call",
        [](bool softmax) { return nb::capsule(reinterpret_cast<void*>(softmax ? softmax_of_frame : sigmoid_of_frame)); },
        "What jax.ffi.register_ffi_target takes.");
    m.def("elementary", [](int function, bool single, uintptr_t in, uintptr_t out, int64_t size) {
        chosen->elementary(function, single, at<const void>(in), at<void>(out), size);
    });
    const char* unknown = nullptr;
    chosen = best_kernels(&unknown);
    if (!chosen) {
        std::string listed;
        for (const std::string& name : names_here()) listed += (listed.empty() ? "" : ", ") + name;
        throw nb::value_error(("COUNTERPOISE_ISA is '" + std::string(unknown) + "', which does not run here; choose one of " + listed)
                                  .c_str());
    }
}
