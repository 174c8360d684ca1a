// Numbers of every type that a loss may be given, brought to the type it is computed in and back.
#pragma once
#include "kernels.h"
#include "lanes.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

struct Half {
    uint16_t code;
};
struct Brain {
    uint16_t code;
};

inline uint32_t code_of(float value) { return bits<uint32_t>(value); }

inline float widened(float value) { return value; }
inline double widened(double value) { return value; }
inline int64_t widened(int32_t value) { return value; }
inline int64_t widened(int64_t value) { return value; }
inline float widened(Brain value) { return bits<float>(uint32_t(value.code) << 16); }
inline float widened(Half value) {
    const uint32_t size = uint32_t(value.code & 0x7fff) << 13, sign = uint32_t(value.code & 0x8000) << 16;
    const float scaled = bits<float>(size) * 5.19229686e33f;  // 2^112: from half's exponents to float's
    const uint32_t out_of_range = size >= 0x0f800000u ? 0x7f800000u : 0u;
    return bits<float>(code_of(scaled) | out_of_range | sign);
}

// to the nearest, ties to even
inline void narrow(float value, float* to) { *to = value; }
inline void narrow(double value, float* to) { *to = float(value); }
inline void narrow(float value, double* to) { *to = double(value); }
inline void narrow(double value, double* to) { *to = value; }
inline void narrow(float value, Brain* to) {
    const uint32_t code = code_of(value), rounded = code + 0x7fffu + ((code >> 16) & 1u);
    to->code = uint16_t(value != value ? 0x7fc0u : rounded >> 16);
}
inline void narrow(double value, Brain* to) { narrow(float(value), to); }
inline void narrow(float value, Half* to) {
    const uint32_t sign = (code_of(value) >> 16) & 0x8000u, size = code_of(value) & 0x7fffffffu;
    const uint32_t least = code_of(bits<float>(size) * 1.92592994e-34f);  // 2^-112
    const uint32_t rounded = (least + 0xfffu + ((least >> 13) & 1u)) >> 13;
    const uint32_t code = size >= 0x47800000u ? (size > 0x7f800000u ? 0x7e00u : 0x7c00u) : rounded;
    to->code = uint16_t(code | sign);
}
inline void narrow(double value, Half* to) { narrow(float(value), to); }

template <class Call>
inline void with_type(Type type, const void* at, Call call) {
    switch (type) {
        case float16: return call((const Half*)at);
        case bfloat16: return call((const Brain*)at);
        case float32: return call((const float*)at);
        case float64: return call((const double*)at);
        case int32: return call((const int32_t*)at);
        case int64: return call((const int64_t*)at);
        default: return;
    }
}

template <class Call>
inline void with_floating(Type type, void* at, Call call) {
    switch (type) {
        case float16: return call((Half*)at);
        case bfloat16: return call((Brain*)at);
        case float32: return call((float*)at);
        case float64: return call((double*)at);
        default: return;
    }
}

// out[i] = in[i]
template <class T>
inline void read_run(T* out, const void* in, Type type, int64_t first, int64_t size) {
    with_type(type, in, [=](auto* from) {
        from += first;
        for (int64_t i = 0; i < size; ++i) out[i] = T(widened(from[i]));
    });
}

template <class T>
inline void write_run(const T* in, void* out, Type type, int64_t first, int64_t size) {
    with_floating(type, out, [=](auto* to) {
        to += first;
        for (int64_t i = 0; i < size; ++i) narrow(in[i], to + i);
    });
}

inline bool is_float(const float*) { return true; }
inline bool is_float(const void*) { return false; }

template <int64_t Classes, class T, class From>
inline void read_rows_of(T* out, int64_t pitch, const From* from, int64_t inner, int64_t rows) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t k = 0; k < Classes; ++k) out[k * pitch + i] = T(widened(from[i * inner + k]));
}

template <int64_t Classes, class T, class To>
inline void write_rows_of(const T* in, int64_t pitch, To* to, int64_t inner, int64_t rows) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t k = 0; k < Classes; ++k) narrow(in[k * pitch + i], to + i * inner + k);
}

typedef float Quad __attribute__((vector_size(16)));

// Transposes four by four floats: from[i * in_step + k] to out[k * out_step + i].
inline __attribute__((always_inline)) void transpose_quads(const float* from, int64_t in_step, float* out,
                                                           int64_t out_step) {
    const Quad a = load<Quad>(from), b = load<Quad>(from + in_step);
    const Quad c = load<Quad>(from + 2 * in_step), d = load<Quad>(from + 3 * in_step);
    const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    store(out, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
    store(out + out_step, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
    store(out + 2 * out_step, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
    store(out + 3 * out_step, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// A (height, width) matrix transposed, both at least 4; the last tiles overlap those before.
inline void transpose(const float* from, int64_t in_step, float* out, int64_t out_step, int64_t height,
                      int64_t width_) {
    for (int64_t i = 0; i < height; i += 4) {
        const int64_t row = i + 4 <= height ? i : height - 4;
        for (int64_t k = 0; k < width_; k += 4) {
            const int64_t column = k + 4 <= width_ ? k : width_ - 4;
            transpose_quads(from + row * in_step + column, in_step, out + column * out_step + row, out_step);
        }
    }
}

// out[k * pitch + i] = element k of row first + i: lanes are rows
template <class T>
inline void read_rows(T* out, int64_t pitch, const void* in, Type type, int64_t outer, int64_t first,
                      const Strides& strides, int64_t rows, int64_t classes) {
    with_type(type, in, [=](auto* from) {
        from += outer * strides.outer + first * strides.inner;
        if (strides.inner == 1) {
            for (int64_t k = 0; k < classes; ++k)
                for (int64_t i = 0; i < rows; ++i) out[k * pitch + i] = T(widened(from[k * strides.along + i]));
        } else if (strides.along == 1 && classes == 2 && strides.inner == 2) {
            read_rows_of<2>(out, pitch, from, 2, rows);
        } else if (strides.along == 1 && classes >= 4 && rows >= 4 && is_float(out) && is_float(from)) {
            transpose((const float*)from, strides.inner, (float*)out, pitch, rows, classes);
        } else {
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t k = 0; k < classes; ++k)
                    out[k * pitch + i] = T(widened(from[i * strides.inner + k * strides.along]));
        }
    });
}

template <class T>
inline void write_rows(const T* in, int64_t pitch, void* out, Type type, int64_t outer, int64_t first,
                       const Strides& strides, int64_t rows, int64_t classes) {
    with_floating(type, out, [=](auto* to) {
        to += outer * strides.outer + first * strides.inner;
        if (strides.inner == 1) {
            for (int64_t k = 0; k < classes; ++k)
                for (int64_t i = 0; i < rows; ++i) narrow(in[k * pitch + i], to + k * strides.along + i);
        } else if (strides.along == 1 && classes == 2 && strides.inner == 2) {
            write_rows_of<2>(in, pitch, to, 2, rows);
        } else if (strides.along == 1 && classes >= 4 && rows >= 4 && is_float(in) && is_float(to)) {
            transpose((const float*)in, pitch, (float*)to, strides.inner, classes, rows);
        } else {
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t k = 0; k < classes; ++k)
                    narrow(in[k * pitch + i], to + i * strides.inner + k * strides.along);
        }
    });
}

template <class T>
COUNTERPOISE_INLINE Vector<T> fit_for_newton(const Newton& newton, Vector<T> curvature, Vector<T> gradient) {
    const Vector<T> bound = larger(magnitude<T>(gradient) * T(newton.per_gradient), all<T>(T(newton.floor)));
    return larger(bound, curvature * T(newton.factor));
}

// NaN leaves out targets that are NaN.
template <class T>
inline bool is_ignored(T target, T ignored) {
    return target == ignored || (ignored != ignored && target != target);
}

inline bool is_weight(double w) { return w >= 0 && w < __builtin_inf(); }

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
