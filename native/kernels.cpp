// The table of one instruction set. Compiled once for each, with COUNTERPOISE_ISA as its name.
#include "kernels.h"

#include "denominator.h"
#include "sigmoid.h"
#include "softmax.h"
#include "softmax_wide.h"
#include "trees.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

bool in_double_precision(Type logits, const void* gradient, Type gradient_type) {
    return logits == float64 && (!gradient || gradient_type == float64);
}

bool is_wide(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    return !is_soft(recipe, batch) && !recipe.costs && recipe.classes >= fewest_classes && !batch.curvature &&
           recipe.weight_by == by_true && batch.logits_strides.along == 1 &&
           (!batch.gradient || batch.gradient_strides.along == 1);
}

// Soft targets take differences of large terms where the loss has a shape, or logits are moved.
bool needs_double(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    const Form& form = recipe.form;
    const bool plain =
        !form.focused && !form.robust && !form.extra && !recipe.margined && !recipe.affine && !recipe.costs;
    return in_double_precision(batch.logits_type, batch.gradient, batch.gradient_type) ||
           (is_soft(recipe, batch) && !plain);
}

template <class T>
size_t blocks_scratch(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    Block<T> block;
    return lay_out<T>(&block, nullptr, recipe.classes, is_soft(recipe, batch), batch.curvature != nullptr,
                      recipe.costs);
}

size_t softmax_scratch(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    const bool twice = in_double_precision(batch.logits_type, batch.gradient, batch.gradient_type);
    if (is_wide(recipe, batch)) return twice ? wide_scratch<double>(recipe, batch) : wide_scratch<float>(recipe, batch);
    return needs_double(recipe, batch) ? blocks_scratch<double>(recipe, batch) : blocks_scratch<float>(recipe, batch);
}

void softmax(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch, int64_t first, int64_t last, void* scratch,
             Sums* sums) {
    const bool twice = in_double_precision(batch.logits_type, batch.gradient, batch.gradient_type);
    if (is_wide(recipe, batch)) {
        if (twice)
            softmax_wide<double>(recipe, batch, first, last, scratch, sums);
        else
            softmax_wide<float>(recipe, batch, first, last, scratch, sums);
    } else if (needs_double(recipe, batch)) {
        softmax_blocks<double>(recipe, batch, first, last, scratch, sums);
    } else {
        softmax_blocks<float>(recipe, batch, first, last, scratch, sums);
    }
}

size_t sigmoid_scratch(const SigmoidRecipe& recipe, const SigmoidBatch& batch) {
    if (in_double_precision(batch.logits_type, batch.gradient, batch.gradient_type)) {
        Elements<double> elements;
        return lay_out<double>(&elements, nullptr, recipe.labels);
    }
    Elements<float> elements;
    return lay_out<float>(&elements, nullptr, recipe.labels);
}

void sigmoid(const SigmoidRecipe& recipe, const SigmoidBatch& batch, int64_t first, int64_t last, void* scratch,
             Sums* sums) {
    if (in_double_precision(batch.logits_type, batch.gradient, batch.gradient_type))
        sigmoid_elements<double>(recipe, batch, first, last, scratch, sums);
    else
        sigmoid_elements<float>(recipe, batch, first, last, scratch, sums);
}

template <class T>
void elementary_of(int function, const T* in, T* out, int64_t size) {
    for (int64_t i = 0; i < size; i += width<T>) {
        const Vector<T> x = load<Vector<T>>(in + i);
        Vector<T> y = {};
        switch (function) {
            case 0: y = exponential<T>(x); break;
            case 1: y = logarithm<T>(x); break;
            case 2: y = log_of_quotient<T>(x / (x + T(2))); break;
            case 3: y = exponential_less_one<T>(x); break;
            default: break;  // only tests ask, for the four above
        }
        store(out + i, y);
    }
}

void elementary(int function, bool single, const void* in, void* out, int64_t size) {
    if (single)
        elementary_of<float>(function, (const float*)in, (float*)out, size);
    else
        elementary_of<double>(function, (const double*)in, (double*)out, size);
}

#define COUNTERPOISE_TEXT_OF(name) #name
#define COUNTERPOISE_TEXT(name) COUNTERPOISE_TEXT_OF(name)

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {COUNTERPOISE_TEXT(COUNTERPOISE_ISA),
                         softmax,
                         softmax_scratch,
                         sigmoid,
                         sigmoid_scratch,
                         softmax_weights,
                         sigmoid_weights,
                         elementary,
                         trees,
                         trees_scratch};

}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
