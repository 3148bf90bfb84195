#!/usr/bin/env python3
"""redis-py's Lock, for the benchmarks to compare with. Started by redismutex_bench:

    redis_py_lock.py pairs URL KEY TODO DONE   for each number popped from the list TODO: takes the lock and gives it back
                                               so many times, and pushes to the list DONE how long each took, in us
    redis_py_lock.py turns URL KEY HOLD_US PAUSE_US GO   one process of the contention benchmark, see bench/turns.hpp
"""

import ctypes
import fcntl
import os
import sys
import time

import redis

PR_SET_TIMERSLACK = 29


def pairs(url: str, key: str, todo: str, done: str) -> None:
    client = redis.Redis.from_url(url)
    while True:
        _, count = client.blpop(todo)
        times = []
        for _ in range(int(count)):
            before = time.perf_counter_ns()
            with client.lock(key, timeout=7):
                pass
            times.append(str((time.perf_counter_ns() - before) / 1000))
        client.rpush(done, " ".join(times))


def turns(url: str, key: str, hold_us: str, pause_us: str, go: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    hold, pause = int(hold_us) / 1e6, int(pause_us) / 1e6
    client = redis.Redis.from_url(url)
    with client.lock(f"{key}:warm-up:{os.getpid()}", timeout=61):
        pass
    print("ready", flush=True)
    with open(go, encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        start, end = map(int, file.read().split())
    time.sleep(max(0.0, (start - time.monotonic_ns()) / 1e9))
    lines = []
    while (asked := time.monotonic_ns()) < end:
        lock = client.lock(key, timeout=61)
        lock.acquire()
        entered = time.monotonic_ns()
        time.sleep(hold)
        leaving = time.monotonic_ns()
        lock.release()
        lines.append(f"{asked} {entered} {leaving} {int(not lines)}")
        time.sleep(pause)
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    {"pairs": pairs, "turns": turns}[sys.argv[1]](*sys.argv[2:])
