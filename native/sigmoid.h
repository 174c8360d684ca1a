// The sigmoid family: one vector lane is one element.
#pragma once
#include "elements.h"
#include "form.h"
#include "softmax.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

constexpr int64_t most_elements = 1024;

// Per-label parameters, repeated beyond the last label so that a vector can start at each, and working memory.
template <class T>
struct Elements {
    double *scale, *offset;
    T *positive_weight, *negative_weight, *chain;
    T *logits, *target, *weight, *loss, *gradient, *curvature;
};

template <class T>
inline size_t lay_out(Elements<T>* elements, char* at, int64_t labels) {
    char* next = at;
    auto take = [&](int64_t bytes) {
        char* here = next;
        next += aligned(bytes);
        return here;
    };
    const int64_t repeated = labels + width<T>;
    elements->scale = (double*)take(repeated * 8);
    elements->offset = (double*)take(repeated * 8);
    T** per_label[] = {&elements->positive_weight, &elements->negative_weight, &elements->chain};
    for (T** array : per_label) *array = (T*)take(repeated * int64_t(sizeof(T)));
    T** per_element[] = {&elements->logits, &elements->target,   &elements->weight,
                         &elements->loss,   &elements->gradient, &elements->curvature};
    for (T** array : per_element) *array = (T*)take(most_elements * int64_t(sizeof(T)));
    return size_t(next - at);
}

template <class T>
inline void repeat_labels(const SigmoidRecipe& recipe, const Elements<T>& elements) {
    for (int64_t i = 0; i < recipe.labels + width<T>; ++i) {
        const int64_t label = i % recipe.labels;
        elements.scale[i] = recipe.scale[label];
        elements.offset[i] = recipe.offset[label];
        elements.positive_weight[i] = T(recipe.positive_weight[label]);
        elements.negative_weight[i] = T(recipe.negative_weight[label]);
        elements.chain[i] = T(recipe.scale[label]);
    }
}

inline bool same(const Form& a, const Form& b) {
    return a.focus == b.focus && a.robustness == b.robustness && a.poly == b.poly && a.clip == b.clip;
}

// Whether every lane is 0 or 1.
template <class T>
COUNTERPOISE_INLINE bool all_whole(Vector<T> v) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(1), _CMP_EQ_OQ) +
                   unsigned(_mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_EQ_OQ)) ==
               0xffff;
    else
        return _mm512_cmp_pd_mask((__m512d)v, _mm512_set1_pd(1), _CMP_EQ_OQ) +
                   unsigned(_mm512_cmp_pd_mask((__m512d)v, _mm512_setzero_pd(), _CMP_EQ_OQ)) ==
               0xff;
#else
    return !any<T>((v != T(0)) & (v != T(1)));
#endif
}

// `size` elements, whole vectors; label of element i is `label` (fixed) or label + i, wrapped around.
template <class T, bool sloped, bool curved>
inline void sigmoid_run(const SigmoidRecipe& recipe, const Elements<T>& elements, const T* logits, const T* target,
                        const T* sample_weight, T* loss_out, T* gradient, T* curvature, int64_t size, int64_t label,
                        bool fixed, double factor, Total<T>* loss_total, Sums* sums) {
    const Vector<T> zero = {}, one = all<T>(1);
    const T kept = T(1 - recipe.smoothing), shift = T(recipe.smoothing / 2);
    const bool alike = same(recipe.positive, recipe.negative);
    const bool scalar = fixed || recipe.labels == 1;
    Vector<T> positive_weight = all<T>(elements.positive_weight[label]);
    Vector<T> negative_weight = all<T>(elements.negative_weight[label]);
    Vector<T> chain = all<T>(elements.chain[label] * T(factor)), chain_twice = chain * elements.chain[label];
    Vector<T> least = {}, most_target = one, most_weight = zero;  // of targets and weights
    for (int64_t i = 0; i < size; i += width<T>) {
        const Vector<T> z = load<Vector<T>>(logits + i), t = load<Vector<T>>(target + i);
        Vector<T> u = z;
        if (!scalar) {
            positive_weight = load<Vector<T>>(elements.positive_weight + label);
            negative_weight = load<Vector<T>>(elements.negative_weight + label);
            const Vector<T> scale = load<Vector<T>>(elements.chain + label);
            chain = scale * T(factor);
            chain_twice = chain * scale;
        }
        if (recipe.affine) {
            const double *scale = elements.scale + label, *offset = elements.offset + label;
            if (scalar)
                u = in_double(logits + i, [=](Vector<double> x, int) { return x * scale[0] + offset[0]; });
            else
                u = in_double(logits + i, [=](Vector<double> x, int place) {
                    return x * load<Vector<double>>(scale + place) + load<Vector<double>>(offset + place);
                });
        }
        if (!scalar) {
            label += width<T>;
            while (label >= recipe.labels) label -= recipe.labels;
        }
        least = smaller(t, least);
        most_target = larger(t, most_target);
        Vector<T> weight = one;
        if (sample_weight) {
            weight = load<Vector<T>>(sample_weight + i);
            least = smaller(weight, least);
            most_weight = larger(weight, most_weight);
        }
        Vector<T> loss, slope = zero, bend = zero;
        if (recipe.smoothing == 0 && all_whole<T>(t)) {  // each element has one side only
            const auto is_positive = t == one;
            const Chances<T> at = chances<T>(choose(is_positive, -u, u));
            weight *= choose(is_positive, positive_weight, negative_weight);
            const auto free = weight == zero;
            Phi<T> phi = shaped<T>(recipe.negative, at, curved);
            if (!alike) {
                const Phi<T> right = shaped<T>(recipe.positive, at, curved);
                phi.value = choose(is_positive, right.value, phi.value);
                phi.slope = choose(is_positive, right.slope, phi.slope);
                if constexpr (curved) phi.bend = choose(is_positive, right.bend, phi.bend);
            }
            loss = choose(free, zero, weight * phi.value);
            if constexpr (sloped) slope = choose(free, zero, choose(is_positive, -weight, weight) * phi.slope);
            if constexpr (curved) bend = choose(free, zero, weight * phi.bend);
        } else {
            const Vector<T> smoothed = t * kept + shift;
            const Vector<T> positive = smoothed * positive_weight * weight;
            const Vector<T> negative = (one - smoothed) * negative_weight * weight;
            const Chances<T> at = chances<T>(-u);
            const Phi<T> right = shaped<T>(recipe.positive, at, curved);
            const Phi<T> wrong = shaped<T>(recipe.negative, at.swapped(), curved);
            const auto no_positive = positive == zero, no_negative = negative == zero;
            loss = choose(no_positive, zero, positive * right.value) + choose(no_negative, zero, negative * wrong.value);
            if constexpr (sloped)
                slope = choose(no_negative, zero, negative * wrong.slope) -
                        choose(no_positive, zero, positive * right.slope);
            if constexpr (curved)
                bend = choose(no_negative, zero, negative * wrong.bend) +
                       choose(no_positive, zero, positive * right.bend);
        }
        loss_total->add(loss);
        if (loss_out) store(loss_out + i, loss);
        if constexpr (sloped) store(gradient + i, slope * chain);
        if constexpr (curved) store(curvature + i, bend * chain_twice);
    }
    // a NaN has got into the total
    sums->odd += any<T>((least < zero) | (most_target > one) | (most_weight == T(__builtin_inf())));
}

template <class T>
void sigmoid_elements(const SigmoidRecipe& recipe, const SigmoidBatch& batch, int64_t first, int64_t last,
                      void* scratch, Sums* sums) {
    constexpr Type own = sizeof(T) == 4 ? float32 : float64;
    Elements<T> elements;
    lay_out<T>(&elements, (char*)scratch, recipe.labels);
    repeat_labels<T>(recipe, elements);
    const bool sloped = batch.gradient != nullptr, curved = batch.curvature != nullptr;
    const bool direct = batch.logits_type == own && batch.target_type == own && !batch.ignores &&
                        (!batch.sample_weight || batch.weight_type == own) &&
                        (!sloped || batch.gradient_type == own) && (!batch.loss || batch.loss_type == own);
    Total<T> loss_total;
    int64_t size = 0;
    for (int64_t at = first; at < last; at += size) {
        const int64_t label = recipe.labels == 1 ? 0 : (at / batch.run) % recipe.labels;
        const bool fixed = batch.run > 1;
        size = last - at;
        if (fixed && recipe.labels > 1 && size > batch.run - at % batch.run) size = batch.run - at % batch.run;
        const bool whole = direct && size >= width<T>;
        if (whole) size -= size % width<T>;
        else if (size > most_elements) size = most_elements;
        const T *logits = (const T*)batch.logits + at, *target = (const T*)batch.target + at;
        const T* weight = batch.sample_weight ? (const T*)batch.sample_weight + at : nullptr;
        T* loss = batch.loss ? (T*)batch.loss + at : nullptr;
        T *gradient = (T*)batch.gradient + at, *curvature = (T*)batch.curvature + at;
        int64_t filled = size, kept = size;
        if (!whole) {
            filled = (size + width<T> - 1) / width<T> * width<T>;
            read_run<T>(elements.logits, batch.logits, batch.logits_type, at, size);
            if (batch.sample_weight)
                read_run<T>(elements.weight, batch.sample_weight, batch.weight_type, at, size);
            else
                for (int64_t i = 0; i < size; ++i) elements.weight[i] = T(1);
            read_run<T>(elements.target, batch.target, batch.target_type, at, size);
            if (batch.ignores)
                for (int64_t i = 0; i < size; ++i)
                    if (double(elements.target[i]) == batch.ignore_value) {
                        elements.target[i] = elements.weight[i] = T(0);
                        --kept;
                    }
            for (int64_t i = size; i < filled; ++i) elements.logits[i] = elements.target[i] = elements.weight[i] = T(0);
            logits = elements.logits;
            target = elements.target;
            weight = elements.weight;
            loss = elements.loss;
            gradient = elements.gradient;
            curvature = elements.curvature;
        }
        sums->kept += double(kept);
        if (curved)
            sigmoid_run<T, true, true>(recipe, elements, logits, target, weight, loss, gradient, curvature, filled, label,
                                       fixed, batch.factor, &loss_total, sums);
        else if (sloped)
            sigmoid_run<T, true, false>(recipe, elements, logits, target, weight, loss, gradient, curvature, filled,
                                        label, fixed, batch.factor, &loss_total, sums);
        else
            sigmoid_run<T, false, false>(recipe, elements, logits, target, weight, loss, gradient, curvature, filled,
                                         label, fixed, batch.factor, &loss_total, sums);
        if (!whole) {
            if (batch.loss) write_run<T>(elements.loss, batch.loss, batch.loss_type, at, size);
            if (sloped) write_run<T>(elements.gradient, batch.gradient, batch.gradient_type, at, size);
            if (curved) write_run<T>(elements.curvature, batch.curvature, batch.gradient_type, at, size);
        }
    }
    const double loss = loss_total.value();
    sums->loss += loss;
    sums->odd += loss != loss;
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
