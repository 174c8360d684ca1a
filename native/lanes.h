// Vectors as wide as the instruction set's registers, for float (with int32) and double (with int64).
#pragma once
#include <stddef.h>
#include <stdint.h>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

// A call would pass vectors through memory.
#define COUNTERPOISE_INLINE inline __attribute__((always_inline))

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#define COUNTERPOISE_HALF_LOW(v) __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7)
#define COUNTERPOISE_HALF_HIGH(v) __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15)
#define COUNTERPOISE_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#define COUNTERPOISE_HALF_LOW(v) __builtin_shufflevector(v, v, 0, 1, 2, 3)
#define COUNTERPOISE_HALF_HIGH(v) __builtin_shufflevector(v, v, 4, 5, 6, 7)
#define COUNTERPOISE_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#else
constexpr int vector_bytes = 16;
#define COUNTERPOISE_HALF_LOW(v) __builtin_shufflevector(v, v, 0, 1)
#define COUNTERPOISE_HALF_HIGH(v) __builtin_shufflevector(v, v, 2, 3)
#define COUNTERPOISE_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3)
#endif

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
    typedef float Vector __attribute__((vector_size(vector_bytes)));
    typedef int32_t Int;
    typedef int32_t Ints __attribute__((vector_size(vector_bytes)));
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to whole numbers
    static constexpr float log2e = 1.44269504f, ln2_high = 0.693145752f, ln2_low = 1.42860677e-6f;
    static constexpr float least = -110.0f, most = 90.0f;
    static constexpr float sqrt_half = 0.70710678f, tiny = 1.17549435e-38f, lift = 16777216.0f;
    static constexpr int lift_bits = 24;
};

template <>
struct Lanes<double> {
    typedef double Vector __attribute__((vector_size(vector_bytes)));
    typedef int64_t Int;
    typedef int64_t Ints __attribute__((vector_size(vector_bytes)));
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double magic = 6755399441055744.0;
    static constexpr double log2e = 1.4426950408889634, ln2_high = 0.69314718036912382,
                            ln2_low = 1.9082149292705877e-10;
    static constexpr double least = -760.0, most = 715.0;
    static constexpr double sqrt_half = 0.70710678118654752, tiny = 2.2250738585072014e-308, lift = 18014398509481984.0;
    static constexpr int lift_bits = 54;
};

template <class T>
using Vector = typename Lanes<T>::Vector;
template <class T>
using Ints = typename Lanes<T>::Ints;
template <class T>
using Int = typename Lanes<T>::Int;
template <class T>
constexpr int width = vector_bytes / int(sizeof(T));

typedef float HalfVector __attribute__((vector_size(vector_bytes / 2)));
typedef int32_t HalfInts __attribute__((vector_size(vector_bytes / 2)));

template <class V, class S>
COUNTERPOISE_INLINE V load(const S* from) {
    V v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}

template <class V, class S>
COUNTERPOISE_INLINE void store(S* to, V v) {
    __builtin_memcpy(to, &v, sizeof v);
}

template <class T>
COUNTERPOISE_INLINE Vector<T> all(T value) {
    return Vector<T>{} + value;
}

template <class To, class From>
COUNTERPOISE_INLINE To bits(From v) {
    static_assert(sizeof(To) == sizeof(From), "bits keep their number");
    To to;
    __builtin_memcpy(&to, &v, sizeof to);
    return to;
}

// `yes` where the mask is set; a comparison with NaN is never set
template <class M, class V>
COUNTERPOISE_INLINE V choose(M mask, V yes, V no) {
    return mask ? yes : no;
}

template <class T>
COUNTERPOISE_INLINE Vector<T> magnitude(Vector<T> v) {
    constexpr Int<T> sign = Int<T>(1) << (8 * sizeof(T) - 1);
    return bits<Vector<T>>(bits<Ints<T>>(v) & ~sign);
}

// a > b ? a : b and a < b ? a : b, which are one instruction
#if defined(__AVX512F__)
COUNTERPOISE_INLINE Vector<float> larger(Vector<float> a, Vector<float> b) {
    return (Vector<float>)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
}
COUNTERPOISE_INLINE Vector<double> larger(Vector<double> a, Vector<double> b) {
    return (Vector<double>)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
}
COUNTERPOISE_INLINE Vector<float> smaller(Vector<float> a, Vector<float> b) {
    return (Vector<float>)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
}
COUNTERPOISE_INLINE Vector<double> smaller(Vector<double> a, Vector<double> b) {
    return (Vector<double>)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);
}
#elif defined(__AVX2__)
COUNTERPOISE_INLINE Vector<float> larger(Vector<float> a, Vector<float> b) { return _mm256_max_ps(a, b); }
COUNTERPOISE_INLINE Vector<double> larger(Vector<double> a, Vector<double> b) { return _mm256_max_pd(a, b); }
COUNTERPOISE_INLINE Vector<float> smaller(Vector<float> a, Vector<float> b) { return _mm256_min_ps(a, b); }
COUNTERPOISE_INLINE Vector<double> smaller(Vector<double> a, Vector<double> b) { return _mm256_min_pd(a, b); }
#else
template <class V>
COUNTERPOISE_INLINE V larger(V a, V b) {
    return choose(a > b, a, b);
}
template <class V>
COUNTERPOISE_INLINE V smaller(V a, V b) {
    return choose(a < b, a, b);
}
#endif

// a b + c, rounded once where the instruction set has such an instruction, and in single precision elsewhere too
template <class T>
COUNTERPOISE_INLINE Vector<T> fused(Vector<T> a, Vector<T> b, Vector<T> c) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
    else
        return (Vector<T>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
    else
        return (Vector<T>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    Vector<T> v;
    for (int i = 0; i < width<T>; ++i) v[i] = T(double(a[i]) * double(b[i]) + double(c[i]));
    return v;
#endif
}

template <class T>
COUNTERPOISE_INLINE double total(Vector<T> v) {
    double sum = 0;
    for (int i = 0; i < width<T>; ++i) sum += double(v[i]);
    return sum;
}

// One bit for each lane whose mask is set.
template <class T>
COUNTERPOISE_INLINE unsigned set_lanes(Ints<T> mask) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_movepi32_mask((__m512i)mask);
    else
        return _mm512_movepi64_mask((__m512i)mask);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return unsigned(_mm256_movemask_ps((__m256)mask));
    else
        return unsigned(_mm256_movemask_pd((__m256d)mask));
#else
    unsigned set = 0;
    for (int i = 0; i < width<T>; ++i) set |= unsigned(mask[i] & 1) << i;
    return set;
#endif
}

template <class T>
COUNTERPOISE_INLINE bool any(Ints<T> mask) {
    return set_lanes<T>(mask) != 0;
}

template <class T>
COUNTERPOISE_INLINE int64_t how_many(Ints<T> mask) {
    return __builtin_popcount(set_lanes<T>(mask));
}

#if defined(__AVX512F__)
// GCC 12 splits these conversions in two
COUNTERPOISE_INLINE Vector<double> widened(HalfVector v) {
    return (Vector<double>)_mm512_maskz_cvtps_pd(0xff, (__m256)v);
}
COUNTERPOISE_INLINE HalfVector narrowed(Vector<double> v) {
    return (HalfVector)_mm512_maskz_cvtpd_ps(0xff, (__m512d)v);
}
#else
COUNTERPOISE_INLINE Vector<double> widened(HalfVector v) { return __builtin_convertvector(v, Vector<double>); }
COUNTERPOISE_INLINE HalfVector narrowed(Vector<double> v) { return __builtin_convertvector(v, HalfVector); }
#endif

// A sum of lanes in double precision.
template <class T>
struct Total;

template <>
struct Total<double> {
    Vector<double> sum = {};
    COUNTERPOISE_INLINE void add(Vector<double> v) { sum += v; }
    void add(const Total& other) { sum += other.sum; }
    double value() const { return total<double>(sum); }
};

template <>
struct Total<float> {
    Vector<double> low = {}, high = {};
    COUNTERPOISE_INLINE void add(Vector<float> v) {
        low += widened(HalfVector(COUNTERPOISE_HALF_LOW(v)));
        high += widened(HalfVector(COUNTERPOISE_HALF_HIGH(v)));
    }
    void add(const Total& other) {
        low += other.low;
        high += other.high;
    }
    double value() const { return total<double>(low + high); }
};

// function(a, b) of the lanes in double precision, rounded back
template <class Function>
COUNTERPOISE_INLINE Vector<float> in_double(const float* at, Function function) {
    HalfVector low = load<HalfVector>(at), high = load<HalfVector>(at + width<double>);
    const HalfVector a = narrowed(function(widened(low), 0)), b = narrowed(function(widened(high), width<double>));
    return COUNTERPOISE_JOIN(a, b);
}

template <class Function>
COUNTERPOISE_INLINE Vector<double> in_double(const double* at, Function function) {
    return function(load<Vector<double>>(at), 0);
}

// Half as many floats, or as many doubles, as a vector of doubles has lanes; likewise whole numbers.
template <class T>
COUNTERPOISE_INLINE Vector<double> widen_at(const T* at) {
    if constexpr (sizeof(T) == 4)
        return widened(load<HalfVector>(at));
    else
        return load<Vector<double>>(at);
}

template <class T>
COUNTERPOISE_INLINE Ints<double> widen_ints_at(const Int<T>* at) {
    if constexpr (sizeof(T) == 4)
        return __builtin_convertvector(load<HalfInts>(at), Ints<double>);
    else
        return load<Ints<double>>(at);
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
