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

// What a run of elements shares: its recipe, its parameters, where it reads and writes, what it adds up.
template <class T>
struct Run {
    const SigmoidRecipe& recipe;
    const Elements<T>& elements;
    const T *logits, *target, *sample_weight;
    T *loss, *gradient, *curvature;
    bool alike, scalar;  // one form for both sides; one label for all elements
    int64_t label;
    double factor;
    Newton newton;
};

// `size` elements, whole vectors.
template <class T, bool sloped, bool curved>
inline void sigmoid_run(const Run<T>& run, int64_t size, Total<T>* loss_total, Sums* sums) {
    const SigmoidRecipe& recipe = run.recipe;
    const Elements<T>& elements = run.elements;
    const Vector<T> zero = {}, one = all<T>(1);
    const T kept = T(1 - recipe.smoothing), shift = T(recipe.smoothing / 2), factor = T(run.factor);
    const bool alike = run.alike, scalar = run.scalar, smoothed_target = recipe.smoothing != 0,
               newton = run.newton.wanted;
    int64_t label = run.label;
    Vector<T> positive_weight = all<T>(elements.positive_weight[label]);
    Vector<T> negative_weight = all<T>(elements.negative_weight[label]);
    Vector<T> scale = all<T>(elements.chain[label]), chain = scale * factor;
    Vector<T> least = zero, most_target = one, most_weight = zero;  // of targets and weights
    Total<T> losses;
    for (int64_t i = 0; i < size; i += width<T>) {
        const Vector<T> t = load<Vector<T>>(run.target + i);
        Vector<T> u = load<Vector<T>>(run.logits + i), weight = one;
        if (!scalar) {
            positive_weight = load<Vector<T>>(elements.positive_weight + label);
            negative_weight = load<Vector<T>>(elements.negative_weight + label);
            scale = load<Vector<T>>(elements.chain + label);
            chain = scale * factor;
        }
        if (recipe.affine) {
            const double *a = elements.scale + label, *b = elements.offset + label;
            if (scalar)
                u = in_double(run.logits + i, [=](Vector<double> x, int) { return x * a[0] + b[0]; });
            else
                u = in_double(run.logits + i, [=](Vector<double> x, int place) {
                    return x * load<Vector<double>>(a + place) + load<Vector<double>>(b + place);
                });
        }
        if (!scalar) {
            label += width<T>;
            while (label >= recipe.labels) label -= recipe.labels;
        }
        if (run.sample_weight) {
            weight = load<Vector<T>>(run.sample_weight + i);
            u = choose(weight == zero, zero, u);  // what weighs nothing is not looked at
            least = smaller(weight, least);
            most_weight = larger(weight, most_weight);
        }
        Vector<T> loss, slope = zero, bend = zero;
        if (!smoothed_target && all_whole<T>(t)) {  // each element has one side only
            const auto is_positive = t == one;
            const Vector<T> odds = choose(is_positive, -u, u);
            weight *= choose(is_positive, positive_weight, negative_weight);
            const auto free = (weight == zero) & (u == u);
            Phi<T> phi;
            if (recipe.negative.clipped) {
                phi = one_sided<T>(recipe.positive, recipe.negative, is_positive, odds, curved);
            } else {
                const Chances<T> at = chances<T>(odds);
                phi = unclipped<T>(recipe.negative, at, curved);
                if (!alike) {
                    const Phi<T> right = unclipped<T>(recipe.positive, at, curved);
                    phi.value = choose(is_positive, right.value, phi.value);
                    phi.slope = choose(is_positive, right.slope, phi.slope);
                    if constexpr (curved) phi.bend = choose(is_positive, right.bend, phi.bend);
                }
            }
            loss = choose(free, zero, weight * phi.value);
            if constexpr (sloped) slope = choose(free, zero, choose(is_positive, -weight, weight) * phi.slope);
            if constexpr (curved) bend = choose(free, zero, weight * phi.bend);
        } else {
            least = smaller(t, least);
            most_target = larger(t, most_target);
            const Vector<T> smoothed = t * kept + shift;
            const Vector<T> positive = smoothed * positive_weight * weight;
            const Vector<T> negative = (one - smoothed) * negative_weight * weight;
            const Chances<T> at = chances<T>(u);  // against a negative
            const Phi<T> right = shaped<T>(recipe.positive, at.swapped(), curved);
            const Phi<T> wrong = shaped<T>(recipe.negative, at, curved);
            const auto known = u == u, no_positive = (positive == zero) & known,
                       no_negative = (negative == zero) & known;
            loss =
                choose(no_positive, zero, positive * right.value) + choose(no_negative, zero, negative * wrong.value);
            if constexpr (sloped)
                slope = choose(no_negative, zero, negative * wrong.slope) -
                        choose(no_positive, zero, positive * right.slope);
            if constexpr (curved)
                bend =
                    choose(no_negative, zero, negative * wrong.bend) + choose(no_positive, zero, positive * right.bend);
        }
        losses.add(loss);
        if (run.loss) store(run.loss + i, loss);
        if constexpr (sloped) store(run.gradient + i, slope * chain);
        if constexpr (curved) {
            bend *= chain * scale;
            store(run.curvature + i, newton ? fit_for_newton<T>(run.newton, bend, slope * chain) : bend);
        }
    }
    loss_total->add(losses);
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
                        (!batch.sample_weight || batch.weight_type == own) && (!sloped || batch.gradient_type == own) &&
                        (!batch.loss || batch.loss_type == own);
    Total<T> loss_total;
    int64_t size = 0;
    for (int64_t at = first; at < last; at += size) {
        const int64_t label = recipe.labels == 1 ? 0 : (at / batch.run) % recipe.labels;
        const bool fixed = batch.run > 1;
        size = last - at;
        if (fixed && recipe.labels > 1 && size > batch.run - at % batch.run) size = batch.run - at % batch.run;
        const bool whole = direct && size >= width<T>;
        if (whole)
            size -= size % width<T>;
        else if (size > most_elements)
            size = most_elements;
        const T *logits = (const T*)batch.logits + at, *target = (const T*)batch.target + at;
        const T* weight = batch.sample_weight ? (const T*)batch.sample_weight + at : nullptr;
        T* loss = batch.loss ? (T*)batch.loss + at : nullptr;
        T* gradient = sloped ? (T*)batch.gradient + at : nullptr;
        T* curvature = curved ? (T*)batch.curvature + at : nullptr;
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
                    if (is_ignored(elements.target[i], T(batch.ignore_value))) {
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
        const bool alike = same(recipe.positive, recipe.negative), scalar = fixed || recipe.labels == 1;
        const Run<T> run = {recipe,    elements, logits, target, weight,       loss,        gradient,
                            curvature, alike,    scalar, label,  batch.factor, batch.newton};
        if (curved)
            sigmoid_run<T, true, true>(run, filled, &loss_total, sums);
        else if (sloped)
            sigmoid_run<T, true, false>(run, filled, &loss_total, sums);
        else
            sigmoid_run<T, false, false>(run, filled, &loss_total, sums);
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
