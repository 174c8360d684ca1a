#include "threads.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>

#if defined(_WIN32)
#include <malloc.h>
#else
#include <pthread.h>
#endif

namespace counterpoise {
namespace {

constexpr int most_threads = 256;
constexpr int spins = 1000;  // some 25 us, so that calls in a row find their threads awake

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

using Task = void (*)(void*, int64_t);

void take_tasks(std::atomic<int64_t>& next, int64_t tasks, Task run, void* context) {
    for (int64_t task = next.fetch_add(1); task < tasks; task = next.fetch_add(1)) run(context, task);
}

struct Pool {
    std::mutex busy;   // held by the call that uses the threads
    std::mutex mutex;  // of all below but the atomics
    std::condition_variable start, end;
    int threads = 0, wanted = 0, joined = 0, done = 0;
    std::atomic<uint64_t> call{0};
    Task run = nullptr;
    void* context = nullptr;
    int64_t tasks = 0;
    std::atomic<int64_t> next{0};

    void work() { take_tasks(next, tasks, run, context); }

    void serve() {
        uint64_t seen = 0;
        for (;;) {
            for (int i = 0; i < spins && call.load(std::memory_order_acquire) == seen; ++i) pause();
            std::unique_lock<std::mutex> lock(mutex);
            start.wait(lock, [&] { return call.load() != seen; });
            seen = call.load();
            if (joined >= wanted) continue;
            ++joined;
            lock.unlock();
            work();
            lock.lock();
            if (++done == joined) end.notify_one();
        }
    }

    void grow(int size) {
        for (; threads < size; ++threads) {
            try {
                std::thread([this] { serve(); }).detach();
            } catch (...) {
                return;  // fewer threads do the same work
            }
        }
    }

    void call_on(int size, int64_t count, Task function, void* with) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            grow(size - 1);
            run = function;
            context = with;
            tasks = count;
            next.store(0);
            wanted = size - 1 < count - 1 ? size - 1 : int(count - 1);
            joined = done = 0;
            call.fetch_add(1, std::memory_order_release);
        }
        start.notify_all();
        work();
        std::unique_lock<std::mutex> lock(mutex);
        wanted = 0;  // who wakes only now is too late
        end.wait(lock, [&] { return done == joined; });
    }
};

// Never destroyed: its threads live as long as the process. After a fork the child has none of them, and makes a new
// one.
std::atomic<Pool*> pool{nullptr};
std::atomic<bool> forked{false};

#if !defined(_WIN32)
// NOLINTNEXTLINE(bugprone-throwing-static-initialization): pthread_atfork is C and throws nothing
const int watches_forks = pthread_atfork(nullptr, nullptr, [] {
    forked.store(true);
    if (pool.load()) pool.store(new Pool);
});
#endif

Pool* the_pool() {
    Pool* found = pool.load();
    if (found) return found;
    Pool* fresh = new Pool;
    if (pool.compare_exchange_strong(found, fresh)) return fresh;
    delete fresh;
    return found;
}

struct Memory {
    void* at = nullptr;
    std::size_t size = 0;
    ~Memory() { release(); }
    void release() {
#if defined(_WIN32)
        _aligned_free(at);
#else
        std::free(at);
#endif
        at = nullptr;
        size = 0;
    }
};

}  // namespace

void for_each_task(const Team& team, int64_t tasks, Task run, void* context) {
    const int threads = team.threads > most_threads ? most_threads : team.threads;
    if (threads > 1 && tasks > 1 && team.region && !forked.load()) {
        struct Shared {
            std::atomic<int64_t> next;
            int64_t tasks;
            Task run;
            void* context;
        } shared{{0}, tasks, run, context};
        return team.region(
            [](void* data) {
                Shared& all = *static_cast<Shared*>(data);
                take_tasks(all.next, all.tasks, all.run, all.context);
            },
            &shared, unsigned(threads), 0);  // always as many: OpenMP ends those that it finds idle
    }
    if (threads > 1 && tasks > 1) {
        Pool* mine = the_pool();
        std::unique_lock<std::mutex> free(mine->busy, std::try_to_lock);
        if (free.owns_lock()) return mine->call_on(threads, tasks, run, context);
    }
    for (int64_t task = 0; task < tasks; ++task) run(context, task);
}

void* scratch(std::size_t bytes) {
    thread_local Memory memory;
    if (memory.size < bytes) {
        memory.release();
#if defined(_WIN32)
        memory.at = _aligned_malloc(bytes, 64);
#else
        if (posix_memalign(&memory.at, 64, bytes) != 0) memory.at = nullptr;
#endif
        if (!memory.at) throw std::bad_alloc();
        memory.size = bytes;
    }
    return memory.at;
}

}  // namespace counterpoise
