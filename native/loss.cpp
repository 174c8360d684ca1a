#include "loss.h"

#include <cmath>
#include <exception>
#include <mutex>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace counterpoise {
namespace {

constexpr int64_t elements_per_task = 32768, fewest_parallel = 32768;
constexpr std::size_t huge_page = std::size_t(2) << 20;

// Untouched memory costs a page fault per 4 KiB when it is first written, which is more than the kernel's own time.
void advise_huge_pages(void* at, std::size_t bytes) {
#if defined(__linux__)
    if (!at || bytes < 2 * huge_page) return;
    const std::uintptr_t first = (std::uintptr_t(at) + huge_page - 1) / huge_page * huge_page;
    const std::uintptr_t last = (std::uintptr_t(at) + bytes) / huge_page * huge_page;
    if (last > first) madvise((void*)first, last - first, MADV_HUGEPAGE);
#else
    (void)at;
    (void)bytes;
#endif
}

std::size_t bytes_of(Type type) {
    switch (type) {
        case float16:
        case bfloat16: return 2;
        case float32:
        case int32: return 4;
        default: return 8;
    }
}

int64_t rows_of(const SoftmaxBatch& batch) { return batch.outer * batch.inner; }
int64_t rows_of(const SigmoidBatch& batch) { return batch.size; }
int64_t elements_of_row(const SoftmaxRecipe& recipe) { return recipe.classes; }
int64_t elements_of_row(const SigmoidRecipe&) { return 1; }

// Splits the rows into tasks whose number does not depend on the threads, so that the sums do not either.
template <class Recipe, class Function>
Sums over_rows(const Work& work, const Recipe& recipe, int64_t rows, Function function) {
    const int64_t width = elements_of_row(recipe);
    int64_t per_task = (elements_per_task + width - 1) / width;
    if (per_task > 1) per_task = (per_task + 63) / 64 * 64;
    const int64_t tasks = (rows + per_task - 1) / per_task;
    const Team team = double(rows) * double(width) < double(fewest_parallel) ? Team{} : work.team;
    std::vector<Sums> parts(std::size_t(tasks), Sums{0, 0, 0, 0, 0});
    std::exception_ptr failure;
    std::mutex mutex;
    auto task = [&](int64_t i) {
        try {
            const int64_t first = i * per_task, last = first + per_task < rows ? first + per_task : rows;
            function(first, last, &parts[std::size_t(i)]);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex);
            failure = std::current_exception();
        }
    };
    for_each_task(team, tasks, [](void* context, int64_t i) { (*static_cast<decltype(task)*>(context))(i); }, &task);
    if (failure) std::rethrow_exception(failure);
    Sums all{0, 0, 0, 0, 0};
    for (const Sums& part : parts) {
        all.loss += part.loss;
        all.weight += part.weight;
        all.nonzero += part.nonzero;
        all.kept += part.kept;
        all.odd += part.odd;
    }
    return all;
}

Sums run(const Work& work, const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    const std::size_t bytes = work.kernels->softmax_scratch(recipe, batch);
    return over_rows(work, recipe, rows_of(batch), [&](int64_t first, int64_t last, Sums* sums) {
        work.kernels->softmax(recipe, batch, first, last, scratch(bytes), sums);
    });
}

Sums run(const Work& work, const SigmoidRecipe& recipe, const SigmoidBatch& batch) {
    const std::size_t bytes = work.kernels->sigmoid_scratch(recipe, batch);
    return over_rows(work, recipe, rows_of(batch), [&](int64_t first, int64_t last, Sums* sums) {
        work.kernels->sigmoid(recipe, batch, first, last, scratch(bytes), sums);
    });
}

Sums weights(const Work& work, const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    const bool known = batch.hard && (recipe.weight_by == by_true || work.reduction == mean);
    if (!known) {  // the weight depends on the logits, or on shares
        SoftmaxBatch values = batch;
        values.gradient = values.curvature = values.loss = nullptr;
        return run(work, recipe, values);
    }
    return over_rows(work, recipe, rows_of(batch), [&](int64_t first, int64_t last, Sums* sums) {
        work.kernels->softmax_weights(recipe, batch, first, last, sums);
    });
}

Sums weights(const Work& work, const SigmoidRecipe& recipe, const SigmoidBatch& batch) {
    return over_rows(work, recipe, rows_of(batch), [&](int64_t first, int64_t last, Sums* sums) {
        work.kernels->sigmoid_weights(recipe, batch, first, last, sums);
    });
}

template <class Recipe, class Batch>
double divisor(const Work& work, const Recipe& recipe, const Batch& batch) {
    if (work.reduction < mean) return 1;
    if (!std::isnan(work.normalizer)) return work.normalizer;
    if (work.reduction == mean && !batch.ignores) return double(rows_of(batch));
    const Sums found = weights(work, recipe, batch);
    return work.reduction == mean ? found.kept : work.reduction == weighted_mean ? found.weight : found.nonzero;
}

template <class Recipe, class Batch>
Outcome loss(const Work& work, const Recipe& recipe, Batch& batch) {
    const int64_t rows = rows_of(batch);
    if (work.fresh) {
        const std::size_t bytes =
            std::size_t(rows) * std::size_t(elements_of_row(recipe)) * bytes_of(batch.gradient_type);
        advise_huge_pages(batch.gradient, bytes);
        advise_huge_pages(batch.curvature, bytes);
    }
    const double by = divisor(work, recipe, batch);
    batch.factor = by != 0 ? 1 / by : 0;
    void* const scalar = work.reduction == unreduced ? nullptr : batch.loss;
    if (scalar) batch.loss = nullptr;
    const Sums sums = run(work, recipe, batch);
    const double value = by != 0 ? sums.loss / by : 0;
    if (scalar && batch.loss_type == float32) *static_cast<float*>(scalar) = float(value);
    if (scalar && batch.loss_type == float64) *static_cast<double*>(scalar) = value;
    return {value, by, sums.odd};
}

}  // namespace

Outcome softmax_loss(const Work& work, const SoftmaxRecipe& recipe, SoftmaxBatch batch) {
    return loss(work, recipe, batch);
}

Outcome sigmoid_loss(const Work& work, const SigmoidRecipe& recipe, SigmoidBatch batch) {
    return loss(work, recipe, batch);
}

double softmax_divisor(const Work& work, const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    return divisor(work, recipe, batch);
}

double sigmoid_divisor(const Work& work, const SigmoidRecipe& recipe, const SigmoidBatch& batch) {
    return divisor(work, recipe, batch);
}

}  // namespace counterpoise
