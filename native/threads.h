// Threads of our own that wait for work: they survive a fork, and one call at a time uses them. A framework that has
// just used OpenMP's leaves them spinning on the processors, where ours would have to wait for them: there, OpenMP's do
// the work.
#pragma once
#include <cstddef>
#include <cstdint>

namespace counterpoise {

// GNU's `GOMP_parallel`: calls function(data) on so many of the caller's OpenMP threads at once.
using Region = void (*)(void (*function)(void*), void* data, unsigned threads, unsigned flags);

// Who works: at most so many threads, the caller's included; OpenMP's where a region of theirs is given.
struct Team {
    int threads = 1;
    Region region = nullptr;
};

// Calls run(context, task) for each task from 0 to tasks - 1. While another call uses our own threads, the caller does
// all tasks itself. OpenMP's threads are not there after a fork, when ours serve.
void for_each_task(const Team& team, int64_t tasks, void (*run)(void* context, int64_t task), void* context);

// Working memory of the calling thread, aligned for vectors; good until the thread asks again.
void* scratch(std::size_t bytes);

}  // namespace counterpoise
