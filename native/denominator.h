// What a mean divides by, where it must be known before the gradient is written: one pass over the targets.
#pragma once
#include "elements.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

inline double weight_at(const void* weights, Type type, int64_t i) {
    double weight = 1;
    if (weights) with_type(type, weights, [&](auto* from) { weight = double(widened(from[i])); });
    return weight;
}

inline void count_weight(double weight, Sums* sums) {
    sums->kept += 1;
    sums->weight += weight;
    sums->nonzero += weight != 0;
}

// Hard targets whose weight is that of their true class.
void softmax_weights(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch, int64_t first, int64_t last, Sums* sums) {
    const double extra = recipe.costs && !recipe.weighted ? 1 : 0;
    with_type(batch.target_type, batch.target, [&](auto* targets) {
        for (int64_t i = first; i < last; ++i) {
            const int64_t target = int64_t(widened(targets[i]));
            if (batch.ignores && target == batch.ignore_index) continue;
            if (target < 0 || target >= recipe.classes) continue;  // the kernel counts it as odd
            count_weight((recipe.weight[target] + extra) * weight_at(batch.sample_weight, batch.weight_type, i), sums);
        }
    });
}

void sigmoid_weights(const SigmoidRecipe& recipe, const SigmoidBatch& batch, int64_t first, int64_t last, Sums* sums) {
    // the kernel sees targets and the ignored value as it computes with them
    const bool single = batch.logits_type != float64 || (batch.gradient && batch.gradient_type != float64);
    with_type(batch.target_type, batch.target, [&](auto* targets) {
        for (int64_t i = first; i < last; ++i) {
            const double target = double(widened(targets[i]));
            if (batch.ignores && (is_ignored(target, batch.ignore_value) ||
                                  (single && is_ignored(float(target), float(batch.ignore_value)))))
                continue;
            const int64_t label = recipe.labels == 1 ? 0 : (i / batch.run) % recipe.labels;
            const double weight = target * recipe.positive_weight[label] + (1 - target) * recipe.negative_weight[label];
            count_weight(weight * weight_at(batch.sample_weight, batch.weight_type, i), sums);
        }
    });
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
