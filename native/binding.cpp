// The only file that knows Python: takes addresses and gives numbers. `losses/kernel.py` and `learners/forest.py` check
// what they hand over here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "dispatch.h"
#include "forest.h"
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

Outcome loss_of(const Work& work, const Softmax& recipe, const SoftmaxBatch& batch) {
    return softmax_loss(work, recipe.recipe, batch);
}

Outcome loss_of(const Work& work, const Sigmoid& recipe, const SigmoidBatch& batch) {
    return sigmoid_loss(work, recipe.recipe, batch);
}

// A loss of arrays of given types, shapes and strides: all but their addresses.
template <class Recipe, class Batch>
struct Call {
    const Recipe& recipe;
    Batch batch;
    Work work;
    int64_t elements;

    void set(int logits_type, int target_type, int weight_type, int gradient_type, bool fresh, int loss_type,
             bool ignores, int reduction, const Newton& newton) {
        batch.logits_type = Type(logits_type);
        batch.target_type = Type(target_type);
        batch.weight_type = Type(weight_type);
        batch.gradient_type = Type(gradient_type);
        batch.loss_type = Type(loss_type);
        batch.ignores = ignores;
        batch.newton = newton;
        work.reduction = Reduction(reduction);
        work.fresh = fresh;
    }
};

// Zero is the address of what there is not, and of a region where our own threads work.
template <class Recipe, class Batch>
nb::tuple computed(const Call<Recipe, Batch>& call, uintptr_t logits, uintptr_t target, uintptr_t sample_weight,
                   uintptr_t gradient, uintptr_t curvature, uintptr_t loss, double normalizer, int threads,
                   uintptr_t region) {
    Batch batch = call.batch;
    batch.logits = at<const void>(logits);
    batch.target = at<const void>(target);
    batch.sample_weight = at<const void>(sample_weight);
    batch.gradient = at<void>(gradient);
    batch.curvature = at<void>(curvature);
    batch.loss = at<void>(loss);
    Work work = call.work;
    work.kernels = chosen;
    work.team = {threads, reinterpret_cast<Region>(region)};
    work.normalizer = normalizer;
    const Outcome outcome =
        without_lock(call.elements > worth_releasing, [&] { return loss_of(work, call.recipe, batch); });
    return nb::make_tuple(outcome.loss, outcome.divisor, outcome.odd);
}

}  // namespace

NB_MODULE(_kernels, m) {
    nb::set_leak_warnings(false);  // recipes in this form are kept until the process ends
    m.doc() = "Compiled losses: addresses in, numbers out.";
    nb::class_<Call<Softmax, SoftmaxBatch>>(m, "SoftmaxCall").def("__call__", computed<Softmax, SoftmaxBatch>);
    nb::class_<Softmax>(m, "Softmax")
        .def(nb::init<std::vector<double>, std::vector<double>, std::vector<double>, std::vector<double>,
                      std::vector<double>, double, double, double, double, int, bool>())
        .def(
            "call",
            [](const Softmax& self, int64_t outer, int64_t inner, int64_t outer_stride, int64_t inner_stride,
               int64_t class_stride, bool hard, int64_t target_outer, int64_t target_inner, int64_t target_class,
               int64_t gradient_outer, int64_t gradient_inner, int64_t gradient_class, int logits_type, int target_type,
               int weight_type, int gradient_type, bool fresh, int loss_type, bool ignores, int64_t ignore_index,
               int reduction, double curvature_factor, double per_gradient, double floor) {
                SoftmaxBatch batch{};
                batch.outer = outer;
                batch.inner = inner;
                batch.logits_strides = {outer_stride, inner_stride, class_stride};
                batch.target_strides = {target_outer, target_inner, target_class};
                batch.gradient_strides = {gradient_outer, gradient_inner, gradient_class};
                batch.hard = hard;
                batch.ignore_index = ignore_index;
                Call<Softmax, SoftmaxBatch> call{self, batch, {}, outer * inner * self.recipe.classes};
                call.set(logits_type, target_type, weight_type, gradient_type, fresh, loss_type, ignores, reduction,
                         {curvature_factor, per_gradient, floor, floor > 0});
                return call;
            },
            nb::keep_alive<0, 1>());
    nb::class_<Call<Sigmoid, SigmoidBatch>>(m, "SigmoidCall").def("__call__", computed<Sigmoid, SigmoidBatch>);
    nb::class_<Sigmoid>(m, "Sigmoid")
        .def(nb::init<std::vector<double>, std::vector<double>, std::vector<double>, std::vector<double>, double,
                      double, double, double, double, double>())
        .def(
            "call",
            [](const Sigmoid& self, int64_t size, int64_t run, int logits_type, int target_type, int weight_type,
               int gradient_type, bool fresh, int loss_type, bool ignores, double ignore_value, int reduction,
               double curvature_factor, double per_gradient, double floor) {
                SigmoidBatch batch{};
                batch.size = size;
                batch.run = run;
                batch.ignore_value = ignore_value;
                Call<Sigmoid, SigmoidBatch> call{self, batch, {}, size};
                call.set(logits_type, target_type, weight_type, gradient_type, fresh, loss_type, ignores, reduction,
                         {curvature_factor, per_gradient, floor, floor > 0});
                return call;
            },
            nb::keep_alive<0, 1>());
    nb::class_<OwnedForest>(m, "Forest")
        .def(nb::init<int64_t, int64_t, double, const std::vector<int32_t>&, const std::vector<double>&,
                      const std::vector<uint64_t>&, const std::vector<int32_t>&, const std::vector<int64_t>&,
                      const std::vector<int64_t>&, const std::vector<int64_t>&, const std::vector<int64_t>&,
                      std::vector<double>, const std::vector<int64_t>&, std::vector<uint64_t>>())
        .def("add_up", [](const OwnedForest& self, int64_t count, uintptr_t values, int64_t rows, int64_t row_stride,
                          int64_t column_stride, uintptr_t sums, int threads) {
            nb::gil_scoped_release unlocked;
            self.add_up(*chosen, {threads, nullptr}, count,
                        {at<const double>(values), row_stride, column_stride, at<double>(sums)}, rows);
        });
    m.def("instruction_sets", names_here, "Names of those that run here, best first.");
    m.def("instruction_set", [] { return std::string(chosen->name); });
    m.def("use_instruction_set", choose_kernels);
    m.def(
        "xla_call",
        [](bool softmax) {
            return nb::capsule(reinterpret_cast<void*>(softmax ? softmax_of_frame : sigmoid_of_frame));
        },
        "What jax.ffi.register_ffi_target takes.");
    m.def("elementary", [](int function, bool single, uintptr_t in, uintptr_t out, int64_t size) {
        chosen->elementary(function, single, at<const void>(in), at<void>(out), size);
    });
    const char* unknown = nullptr;
    chosen = best_kernels(&unknown);
    if (!chosen) {
        std::string listed;
        for (const std::string& name : names_here()) listed += (listed.empty() ? "" : ", ") + name;
        throw nb::value_error(
            ("COUNTERPOISE_ISA is '" + std::string(unknown) + "', which does not run here; choose one of " + listed)
                .c_str());
    }
}
