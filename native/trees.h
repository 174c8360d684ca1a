// The trees of a booster, many rows at once. Each node strikes out the leaves that a row on its right side cannot
// reach; of those that remain, counted from the left, the first one is the row's (Lucchese et al., QuickScorer, SIGIR
// 2015).
#pragma once
#include "kernels.h"
#include "lanes.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

constexpr int tree_vectors = 4;
constexpr int tree_rows = tree_vectors * width<double>;
size_t trees_scratch(const Forest& forest) {
    return size_t(2 * forest.features + forest.outputs) * tree_rows * sizeof(double);
}

// The leaves that rows can reach, one bit for each, in one register per vector of rows.
struct Reachable {
    Ints<double> leaves[tree_vectors];

    // Missing values compare as false: `above` sends them left, `not at most` right.
    COUNTERPOISE_INLINE void strike_above(const Node& node, const double* columns) {
        const double* column = columns + int64_t(node.feature) * tree_rows;
        for (int i = 0; i < tree_vectors; ++i) {
            const Vector<double> value = load<Vector<double>>(column + i * width<double>);
            leaves[i] = choose(value > all(node.threshold), leaves[i] & int64_t(node.kept), leaves[i]);
        }
    }

    COUNTERPOISE_INLINE void strike_not_at_most(const Node& node, const double* columns) {
        const double* column = columns + int64_t(node.feature) * tree_rows;
        for (int i = 0; i < tree_vectors; ++i) {
            const Vector<double> value = load<Vector<double>>(column + i * width<double>);
            leaves[i] = choose(value <= all(node.threshold), leaves[i], leaves[i] & int64_t(node.kept));
        }
    }
};

// Strikes out the leaves of rows whose code is not in the set.
COUNTERPOISE_INLINE void strike_outside(const Forest& forest, const Node& node, const int64_t* codes, uint64_t* leaves,
                                        int64_t rows) {
    const Set& set = forest.sets[node.set];
    const uint64_t* const words = forest.words + set.first_word;
    const int64_t beyond = set.codes + 1;
    for (int64_t i = 0; i < rows; ++i) {
        const int64_t bit = codes[i] < beyond ? codes[i] : beyond;
        const uint64_t outside = (words[bit >> 6] >> (bit & 63) & 1) - 1;
        leaves[i] &= node.kept | ~outside;
    }
}

// The bit of a value in any set, or one beyond them all.
COUNTERPOISE_INLINE int64_t bit_of(double value) {
    constexpr int64_t beyond = int64_t(1) << 40;
    return value != value ? 0 : value >= 0 && value < double(beyond) ? int64_t(value) + 1 : beyond;
}

void trees(const Forest& forest, int64_t count, const Table& table, int64_t first, int64_t last, void* scratch) {
    double* const columns = (double*)scratch;
    double* const sums = columns + forest.features * tree_rows;
    int64_t* const codes = (int64_t*)(sums + forest.outputs * tree_rows);
    for (int64_t row = first; row < last; row += tree_rows) {
        const int64_t here = last - row < tree_rows ? last - row : tree_rows;
        const double* const corner = table.values + row * table.row_stride;
        for (int64_t i = 0; i < tree_rows; ++i)
            for (int64_t feature = 0; feature < forest.features; ++feature) {
                const double value = i < here ? corner[i * table.row_stride + feature * table.column_stride] : 0;
                columns[feature * tree_rows + i] = value <= forest.zero && value >= -forest.zero ? 0 : value;
            }
        for (int64_t feature = 0; feature < forest.features; ++feature)
            if (forest.coded[feature])
                for (int64_t i = 0; i < here; ++i)
                    codes[feature * tree_rows + i] = bit_of(columns[feature * tree_rows + i]);
        for (int64_t i = 0; i < forest.outputs * tree_rows; ++i) sums[i] = 0;
        int64_t output = 0;
        for (const Tree* tree = forest.trees; tree < forest.trees + count; ++tree) {
            Reachable rows;
            for (int i = 0; i < tree_vectors; ++i) rows.leaves[i] = Ints<double>{} - 1;
            const Node* const right = forest.nodes + tree->missing_right;
            for (const Node* node = forest.nodes + tree->missing_left; node < right; ++node)
                rows.strike_above(*node, columns);
            const Node* const sets = forest.nodes + tree->sets;
            for (const Node* node = right; node < sets; ++node) rows.strike_not_at_most(*node, columns);
            uint64_t leaves[tree_rows];
            for (int i = 0; i < tree_vectors; ++i) store(leaves + i * width<double>, rows.leaves[i]);
            for (const Node* node = sets; node < forest.nodes + tree->end; ++node)
                strike_outside(forest, *node, codes + int64_t(node->feature) * tree_rows, leaves, here);
            const double* const values = forest.values + tree->leaves;
            double* const sum = sums + output * tree_rows;
            for (int i = 0; i < tree_rows; ++i) sum[i] += values[__builtin_ctzll(leaves[i])];
            output = output + 1 == forest.outputs ? 0 : output + 1;
        }
        for (int64_t i = 0; i < here; ++i)
            for (int64_t k = 0; k < forest.outputs; ++k)
                table.sums[(row + i) * forest.outputs + k] = sums[k * tree_rows + i];
    }
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
