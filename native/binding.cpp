// The only file that knows Python: takes addresses and gives numbers. `losses/kernel.py` and `learners/forest.py` check
// what they hand over here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "dispatch.h"
#include "forest.h"
#include "loss.h"
#include "recipe.h"
#include "xla_call.h"

namespace nb = nanobind;
using namespace nb::literals;
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
auto without_lock(bool release, Call call) {
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

// What both families are called with apart from their recipe, where the rows are, and addresses.
struct Options {
    Type logits, target, sample_weight, gradient, loss;  // `nothing` for what there is not
    Reduction reduction;
    bool fresh;
    Newton newton;
};

// A loss of arrays of given types, shapes and strides: all but their addresses.
template <class Recipe, class Batch>
struct Call {
    const Recipe& recipe;
    Batch batch;
    Work work;
    int64_t elements;

    Call(const Recipe& recipe_, const Batch& batch_, int64_t elements_, bool ignores, const Options& options)
        : recipe(recipe_), batch(batch_), work{}, elements(elements_) {
        batch.logits_type = options.logits;
        batch.target_type = options.target;
        batch.weight_type = options.sample_weight;
        batch.gradient_type = options.gradient;
        batch.loss_type = options.loss;
        batch.newton = options.newton;
        batch.ignores = ignores;
        work.reduction = options.reduction;
        work.fresh = options.fresh;
    }
};

using Steps = std::array<int64_t, 3>;  // outer, inner, along the classes

Strides strides_of(const Steps& steps) { return {steps[0], steps[1], steps[2]}; }

double divisor_of(const Work& work, const Softmax& recipe, const SoftmaxBatch& batch) {
    return softmax_divisor(work, recipe.recipe, batch);
}

double divisor_of(const Work& work, const Sigmoid& recipe, const SigmoidBatch& batch) {
    return sigmoid_divisor(work, recipe.recipe, batch);
}

// Zero is the address of what there is not, and of a region where our own threads work.
template <class Recipe, class Batch>
Work work_of(const Call<Recipe, Batch>& call, double normalizer, int threads, uintptr_t region) {
    Work work = call.work;
    work.kernels = chosen;
    work.team = {threads, reinterpret_cast<Region>(region)};
    work.normalizer = normalizer;
    return work;
}

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
    const Work work = work_of(call, normalizer, threads, region);
    const Outcome outcome =
        without_lock(call.elements > worth_releasing, [&] { return loss_of(work, call.recipe, batch); });
    return nb::make_tuple(outcome.loss, outcome.divisor, outcome.odd);
}

template <class Recipe, class Batch>
double divisor_alone(const Call<Recipe, Batch>& call, uintptr_t logits, uintptr_t target, uintptr_t sample_weight,
                     int threads, uintptr_t region) {
    Batch batch = call.batch;
    batch.logits = at<const void>(logits);
    batch.target = at<const void>(target);
    batch.sample_weight = at<const void>(sample_weight);
    const Work work = work_of(call, std::numeric_limits<double>::quiet_NaN(), threads, region);
    return without_lock(call.elements > worth_releasing, [&] { return divisor_of(work, call.recipe, batch); });
}

using SoftmaxCall = Call<Softmax, SoftmaxBatch>;
using SigmoidCall = Call<Sigmoid, SigmoidBatch>;

}  // namespace

NB_MODULE(_kernels, m) {
    nb::set_leak_warnings(false);  // recipes in this form are kept until the process ends
    m.doc() = "Compiled losses: addresses in, numbers out.";
    nb::enum_<Type>(m, "Type", nb::is_arithmetic())
        .value("nothing", nothing)
        .value("float16", float16)
        .value("bfloat16", bfloat16)
        .value("float32", float32)
        .value("float64", float64)
        .value("int32", int32)
        .value("int64", int64);
    nb::enum_<Reduction>(m, "Reduction", nb::is_arithmetic())
        .value("none", unreduced)
        .value("sum", sum)
        .value("mean", mean)
        .value("weighted_mean", weighted_mean)
        .value("nonzero_mean", nonzero_mean);
    nb::class_<Options>(m, "Options")
        .def(
            "__init__",
            [](Options* self, Type logits, Type target, Type sample_weight, Type gradient, Type loss,
               Reduction reduction, bool fresh, double curvature_factor, double per_gradient, double floor) {
                const Newton newton{curvature_factor, per_gradient, floor, floor > 0};
                new (self) Options{logits, target, sample_weight, gradient, loss, reduction, fresh, newton};
            },
            nb::kw_only(), "logits"_a, "target"_a, "sample_weight"_a, "gradient"_a, "loss"_a, "reduction"_a, "fresh"_a,
            "curvature_factor"_a, "per_gradient"_a, "floor"_a);
    nb::class_<SoftmaxCall>(m, "SoftmaxCall")
        .def("__call__", computed<Softmax, SoftmaxBatch>)
        .def("divisor", divisor_alone<Softmax, SoftmaxBatch>);
    nb::class_<Softmax>(m, "Softmax")
        .def(nb::init<std::vector<double>, std::vector<double>, std::vector<double>, std::vector<double>,
                      std::vector<double>, double, double, double, double, int, bool>(),
             nb::kw_only(), "weight"_a, "scale"_a, "offset"_a, "margin"_a, "pair"_a, "focus"_a, "robustness"_a,
             "poly"_a, "smoothing"_a, "weight_by"_a, "adds_expected_cost"_a)
        .def(
            "call",
            [](const Softmax& self, int64_t outer, int64_t inner, const Steps& logits, const Steps& target,
               const Steps& gradient, bool hard, std::optional<int64_t> ignore_index, const Options& options) {
                SoftmaxBatch batch{};
                batch.outer = outer;
                batch.inner = inner;
                batch.logits_strides = strides_of(logits);
                batch.target_strides = strides_of(target);
                batch.gradient_strides = strides_of(gradient);
                batch.hard = hard;
                batch.ignore_index = ignore_index.value_or(0);
                return SoftmaxCall(self, batch, outer * inner * self.recipe.classes, ignore_index.has_value(), options);
            },
            nb::kw_only(), "outer"_a, "inner"_a, "logits"_a, "target"_a, "gradient"_a, "hard"_a,
            "ignore_index"_a.none(), "options"_a, nb::keep_alive<0, 1>());
    nb::class_<SigmoidCall>(m, "SigmoidCall")
        .def("__call__", computed<Sigmoid, SigmoidBatch>)
        .def("divisor", divisor_alone<Sigmoid, SigmoidBatch>);
    nb::class_<Sigmoid>(m, "Sigmoid")
        .def(nb::init<std::vector<double>, std::vector<double>, std::vector<double>, std::vector<double>, double,
                      double, double, double, double, double>(),
             nb::kw_only(), "pos_weight"_a, "neg_weight"_a, "scale"_a, "offset"_a, "pos_focus"_a, "neg_focus"_a,
             "clip"_a, "robustness"_a, "poly"_a, "smoothing"_a)
        .def(
            "call",
            [](const Sigmoid& self, int64_t size, int64_t run, std::optional<double> ignore_index,
               const Options& options) {
                SigmoidBatch batch{};
                batch.size = size;
                batch.run = run;
                batch.ignore_value = ignore_index.value_or(0);
                return SigmoidCall(self, batch, size, ignore_index.has_value(), options);
            },
            nb::kw_only(), "size"_a, "run"_a, "ignore_index"_a.none(), "options"_a, nb::keep_alive<0, 1>());
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
    m.def("xla_settings", xla_settings, "softmax"_a, "Names of what the settings of a call hold, in order.");
    m.attr("XLA_SETTINGS_VERSION") = xla_settings_version;
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
