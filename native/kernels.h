// What passes between the driver and the kernels of every instruction set: plain C types, no code.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace counterpoise {

enum Type : int32_t { nothing, float16, bfloat16, float32, float64, int32, int64 };

// phi of recipes/shape.py
struct Form {
    double focus, robustness, poly, clip;
    int32_t whole_focus;                   // the focus where it is a small whole number, else -1
    bool focused, robust, extra, clipped;  // the parameter of that name, or poly, is not 0
};

enum WeightBy : int32_t { by_true, by_predicted, by_pair };

// Per-class arrays hold one number for each class, and as many more as a vector may read beyond the last.
struct SoftmaxRecipe {
    int64_t classes;
    Form form;
    double smoothing;
    int32_t weight_by;
    bool affine;     // some scale is not 1, some offset not 0, or the temperature not 1
    bool margined;   // some margin is not 0
    bool uniform;    // one weight for all classes
    bool weighted;   // some weight is not 0; else only the expected cost counts
    bool costs;      // the expected cost is a term
    bool one_scale;  // one scale for all classes
    const double* weight;
    const double* scale;  // times the temperature, like the next two
    const double* offset;
    const double* margin;
    const double* pair;         // (C, C) weights or costs of [true, chosen], or null
    const float* narrow_scale;  // rounded, for where rounding does no harm
    const float* narrow_offset;
    double centre;                 // of the offsets
    const double* centred_offset;  // what they are off it: small, so that it may be rounded to
    const float* narrow_centred;
};

// Per-label arrays hold one number for each label.
struct SigmoidRecipe {
    int64_t labels;
    Form positive, negative;
    double smoothing;
    bool affine;
    const double* positive_weight;
    const double* negative_weight;
    const double* scale;  // times the temperature, like the offset
    const double* offset;
};

struct Strides {
    int64_t outer, inner, along;  // in elements; `along` is that of the class axis
};

// What makes a curvature fit for a Newton step: times `factor`, then at least `per_gradient` |gradient| and `floor`.
struct Newton {
    double factor, per_gradient, floor;
    bool wanted;
};

// Rows are outer x inner. Row-wise arrays (hard target, sample weight, loss) are contiguous in that order.
struct SoftmaxBatch {
    int64_t outer, inner;
    const void* logits;
    const void* target;
    const void* sample_weight;  // or null
    void* gradient;             // or null; may be the logits where type and strides are theirs
    void* curvature;            // or null
    void* loss;                 // or null
    Strides logits_strides, target_strides, gradient_strides;
    Type logits_type, target_type, weight_type, gradient_type, loss_type;
    bool hard;
    bool ignores;
    int64_t ignore_index;
    double factor;  // of gradient and curvature
    Newton newton;
};

// Elements are contiguous; element i has label (i / run) % labels.
struct SigmoidBatch {
    int64_t size, run;
    const void* logits;
    const void* target;
    const void* sample_weight;
    void* gradient;
    void* curvature;
    void* loss;
    Type logits_type, target_type, weight_type, gradient_type, loss_type;
    bool ignores;
    double ignore_value;
    double factor;
    Newton newton;
};

// What a range of rows or elements adds up to.
struct Sums {
    double loss, weight, nonzero, kept;
    int64_t odd;  // how many rows hold what the kernel does not answer for: NaN, a class or weight out of range
};

// A row whose value is above the threshold, or whose code is not in the set, can reach the leaves in `kept` only.
struct Node {
    double threshold;
    uint64_t kept;
    int32_t feature;
    int32_t set;
};

// Codes, a bit for each: bit 0 for what is missing, bit c + 1 for the code c, and one more, which is 0, for all others.
struct Set {
    int64_t first_word, codes;
};

// Nodes from `missing_left` on send missing values left, those from `missing_right` on right; those from `sets` up to
// `end` ask for a set.
struct Tree {
    int64_t missing_left, missing_right, sets, end, leaves;
};

constexpr int64_t most_leaves = 64;  // of a tree: a bit for each

// Trees by turns for each output; leaves are counted from the left.
struct Forest {
    int64_t features, outputs;
    double zero;  // a value that is no further from 0 counts as 0
    const Node* nodes;
    const Tree* trees;
    const double* values;
    const Set* sets;
    const uint64_t* words;
    const uint8_t* coded;  // of each feature, whether a set is asked for its value
};

struct Table {
    const double* values;
    int64_t row_stride, column_stride;  // in elements
    double* sums;                       // (rows, outputs)
};

struct Kernels {
    const char* name;
    void (*softmax)(const SoftmaxRecipe&, const SoftmaxBatch&, int64_t first, int64_t last, void* scratch, Sums*);
    size_t (*softmax_scratch)(const SoftmaxRecipe&, const SoftmaxBatch&);
    void (*sigmoid)(const SigmoidRecipe&, const SigmoidBatch&, int64_t first, int64_t last, void* scratch, Sums*);
    size_t (*sigmoid_scratch)(const SigmoidRecipe&, const SigmoidBatch&);
    // kept, weight and nonzero only
    void (*softmax_weights)(const SoftmaxRecipe&, const SoftmaxBatch&, int64_t first, int64_t last, Sums*);
    void (*sigmoid_weights)(const SigmoidRecipe&, const SigmoidBatch&, int64_t first, int64_t last, Sums*);
    // exp, log, log1p of [0, 1], expm1 in single and double precision, for tests; size is a multiple of 16
    void (*elementary)(int function, bool single, const void* in, void* out, int64_t size);
    void (*trees)(const Forest&, int64_t count, const Table&, int64_t first, int64_t last, void* scratch);
    size_t (*trees_scratch)(const Forest&);
};

}  // namespace counterpoise
