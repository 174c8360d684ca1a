// Threads of our own that wait for work: they survive a fork, and one call at a time uses them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace counterpoise {

// Calls run(context, task) for each task from 0 to tasks - 1, on at most `threads` threads, the caller's included.
// While another call uses the threads, the caller does all tasks itself.
void for_each_task(int threads, int64_t tasks, void (*run)(void* context, int64_t task), void* context);

// Working memory of the calling thread, aligned for vectors; good until the thread asks again.
void* scratch(std::size_t bytes);

}  // namespace counterpoise
