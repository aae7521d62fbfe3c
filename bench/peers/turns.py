"""Times a step and prints the line that every program of the benchmark prints, once or in turns with others.

With --serve a script prints "ready" once its first steps are done, and then a line for every number of seconds that it
reads, so that programs can take turns without starting again.
"""
import argparse
import json
import statistics
import sys
import time

MISSING = 3  # exit code of a script whose packages are not installed


def arguments(doc, nets, modes):
    """Returns a parser with the flags that all scripts share."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--net", required=True, choices=nets)
    p.add_argument("--mode", required=True, choices=modes)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--warmup", type=int, default=5, help="steps that do not count")
    p.add_argument("--steps", type=int, default=60, help="the most that count")
    p.add_argument("--seconds", type=float, default=6, help="stop after so many seconds if the steps are not done")
    p.add_argument("--serve", action="store_true")
    return p


def peak_rss_mb():
    """Returns the most memory that this program has held; rusage would begin with that of the program that started it."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024
    except (OSError, StopIteration):
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run(args, step, peer, config):
    """Times step() as the arguments say. config is a word for what distinguishes this run from others of its mode."""
    for _ in range(args.warmup):
        step()

    def measure(steps, seconds):
        took = []
        end = time.perf_counter() + seconds
        while len(took) < steps and (len(took) < 5 or time.perf_counter() < end):
            start = time.perf_counter()
            step()
            took.append(time.perf_counter() - start)
        median = statistics.median(took)
        print(json.dumps({
            "peer": peer, "net": args.net, "mode": args.mode, "config": config, "batch": args.batch, "threads": args.threads,
            "images_per_s": round(args.batch / median, 1), "ms_per_step": round(1e3 * median, 3), "ms_best": round(1e3 * min(took), 3),
            "steps": len(took), "peak_rss_mb": peak_rss_mb()}), flush=True)

    if not args.serve:
        measure(args.steps, args.seconds)
        return
    print("ready", flush=True)
    for line in sys.stdin:
        step()  # the others have had the caches
        measure(sys.maxsize, float(line))


def main(body):
    """Runs a script and says in one line what is not installed."""
    try:
        body()
    except ImportError as e:
        print(f"not installed: {e}", file=sys.stderr)
        sys.exit(MISSING)
