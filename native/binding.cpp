// The only file that knows Python: takes addresses and gives numbers. `losses/kernel.py` checks what it hands over here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "dispatch.h"
#include "loss.h"

namespace nb = nanobind;
using namespace counterpoise;

namespace {

constexpr std::size_t beyond = 16;  // a vector may read so many numbers past the last class

std::vector<double> padded(std::vector<double> values) {
    values.resize(values.size() + beyond, 1.0);
    return values;
}

std::vector<float> rounded(const std::vector<double>& values) { return std::vector<float>(values.begin(), values.end()); }

bool varies(const std::vector<double>& values, double from) {
    for (double value : values)
        if (value != from) return true;
    return false;
}

constexpr double most_multiplied = 8;  // a focus up to here is a product

Form form_of(double focus, double robustness, double poly, double clip) {
    const bool whole = focus == std::floor(focus) && focus <= most_multiplied;
    return {focus, robustness, poly, clip, whole ? int32_t(focus) : -1, focus != 0, robustness != 0, poly != 0, clip != 0};
}

struct Softmax {
    std::vector<double> weight, scale, offset, margin, pair, centred_offset;
    std::vector<float> narrow_scale, narrow_offset, narrow_centred;
    SoftmaxRecipe recipe{};

    Softmax(std::vector<double> weight_, std::vector<double> scale_, std::vector<double> offset_,
            std::vector<double> margin_, std::vector<double> pair_, double focus, double robustness, double poly,
            double smoothing, int weight_by, bool costs) {
        recipe.classes = int64_t(weight_.size());
        recipe.affine = varies(scale_, 1) || varies(offset_, 0);
        recipe.one_scale = !varies(scale_, scale_[0]);
        recipe.margined = varies(margin_, 0);
        recipe.uniform = !varies(weight_, weight_[0]);
        recipe.weighted = varies(weight_, 0);
        const auto ends = std::minmax_element(offset_.begin(), offset_.end());
        recipe.centre = (*ends.first + *ends.second) / 2;
        for (double value : offset_) centred_offset.push_back(value - recipe.centre);
        centred_offset = padded(std::move(centred_offset));
        narrow_centred = rounded(centred_offset);
        recipe.centred_offset = centred_offset.data();
        recipe.narrow_centred = narrow_centred.data();
        weight = padded(std::move(weight_));
        scale = padded(std::move(scale_));
        offset = padded(std::move(offset_));
        margin = padded(std::move(margin_));
        pair = std::move(pair_);
        narrow_scale = rounded(scale);
        narrow_offset = rounded(offset);
        recipe.form = form_of(focus, robustness, poly, 0);
        recipe.smoothing = smoothing;
        recipe.weight_by = weight_by;
        recipe.costs = costs;
        recipe.weight = weight.data();
        recipe.scale = scale.data();
        recipe.offset = offset.data();
        recipe.margin = margin.data();
        recipe.pair = pair.data();
        recipe.narrow_scale = narrow_scale.data();
        recipe.narrow_offset = narrow_offset.data();
    }
    Softmax(const Softmax&) = delete;
};

struct Sigmoid {
    std::vector<double> positive_weight, negative_weight, scale, offset;
    SigmoidRecipe recipe{};

    Sigmoid(std::vector<double> positive_weight_, std::vector<double> negative_weight_, std::vector<double> scale_,
            std::vector<double> offset_, double positive_focus, double negative_focus, double clip, double robustness,
            double poly, double smoothing)
        : positive_weight(std::move(positive_weight_)),
          negative_weight(std::move(negative_weight_)),
          scale(std::move(scale_)),
          offset(std::move(offset_)) {
        recipe.labels = int64_t(scale.size());
        recipe.positive = form_of(positive_focus, robustness, poly, 0);
        recipe.negative = form_of(negative_focus, robustness, poly, clip);
        recipe.smoothing = smoothing;
        recipe.affine = varies(scale, 1) || varies(offset, 0);
        recipe.positive_weight = positive_weight.data();
        recipe.negative_weight = negative_weight.data();
        recipe.scale = scale.data();
        recipe.offset = offset.data();
    }
    Sigmoid(const Sigmoid&) = delete;
};

const Kernels* chosen = nullptr;

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
                        double normalizer, int threads) {
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
                               1.0};
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
                        int loss_type, bool ignores, double ignore_value, int reduction, double normalizer,
                        int threads) {
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
                               1.0};
            const Work work{chosen, threads, Reduction(reduction), normalizer, fresh};
            return given(without_lock(size > worth_releasing, [&] { return sigmoid_loss(work, self.recipe, batch); }));
        });
    m.def("instruction_sets", names_here, "Names of those that run here, best first.");
    m.def("instruction_set", [] { return std::string(chosen->name); });
    m.def("use_instruction_set", choose_kernels);
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
