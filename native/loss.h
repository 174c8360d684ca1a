// A whole loss: denominator, chunks of rows on several threads, sums in a fixed order.
#pragma once
#include "kernels.h"
#include "threads.h"

namespace counterpoise {

enum Reduction : int32_t { unreduced, sum, mean, weighted_mean, nonzero_mean };

struct Work {
    const Kernels* kernels;
    Team team;
    Reduction reduction;
    double normalizer;  // replaces the denominator of a mean where it is no NaN
    bool fresh;         // gradient and curvature are memory that nobody has touched yet
    // Reduced, the batch's `loss` is one number.
};

struct Outcome {
    double loss, divisor;
    int64_t odd;
};

Outcome softmax_loss(const Work&, const SoftmaxRecipe&, SoftmaxBatch);
Outcome sigmoid_loss(const Work&, const SigmoidRecipe&, SigmoidBatch);

// What a mean divides by, without the loss.
double softmax_divisor(const Work&, const SoftmaxRecipe&, const SoftmaxBatch&);
double sigmoid_divisor(const Work&, const SigmoidRecipe&, const SigmoidBatch&);

}  // namespace counterpoise
