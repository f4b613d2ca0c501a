"""One rank of a float32 all-reduce over gloo: gloo.py RANK WORLD ADDRESS PORT ELEMENTS RUNS. Prints its milliseconds and processor time as JSON."""

import datetime
import json
import os
import sys
import time

import torch
import torch.distributed as dist

rank, world, address, port, elements, runs = sys.argv[1:]
torch.set_num_threads(1)
dist.init_process_group(
    "gloo",
    init_method=f"tcp://{address}:{port}",
    rank=int(rank),
    world_size=int(world),
    timeout=datetime.timedelta(seconds=120),
)
took, cpu = [], []
for run in range(int(runs) + 1):
    values = torch.full((int(elements),), float(rank))
    dist.barrier()
    started, before = time.monotonic(), os.times()
    dist.all_reduce(values)
    after = os.times()
    if run > 0:
        took.append((time.monotonic() - started) * 1000)
        cpu.append((after.user + after.system - before.user - before.system) * 1000)
assert values[0] == sum(range(int(world)))
dist.barrier()
print(json.dumps({"ms": took, "cpuMs": cpu}))
