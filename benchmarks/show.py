"""`make show`: list the demonstrations, or run one against its bounds."""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Report
from tests.kafka import BrokerUnavailableError, find_broker

DEMONSTRATIONS = {
    "bit-for-bit": "200,000 real transactions: every prediction equal to the bit to a plain River loop.",
    "bit-for-bit-fast": "The fast path over 1,000,000 real events beside River's methods, on three kinds of processor.",
    "kill": "kill -9 at 30 random moments: what readers see is byte-identical to an undisturbed run.",
    "rebalance": "Workers join, leave, freeze; the broker freezes: byte-identical.",
    "chaos": "30 minutes of kills, zombies, rebalances, bad brokers, networks and disks; 10 on three brokers.",
    "stores": "Chaos with each checkpoint store, local disks wiped at every start: nothing lost, no full replay.",
    "bad-events": "249 kinds of bad and odd events: each answered as the contract says, the good as if without them.",
    "fuzz": "1,000,000 mutated records, 20,000 checkpoints and settings: nothing wrong taken or right refused.",
    "recovery": "Restart and takeover after kill -9, at 5,000 events/s: seconds to the first new prediction.",
    "soak": "60 minutes at 5,000 events/s, kill -9 every minute: lag back at 0, memory and open files flat. MINUTES=3.",
    "ladder": "Damaged and lost checkpoints, offsets and logs: each refused or recovered as documented.",
    "explore": "10,000 schedules of crashes, doubts, zombies and rebalances on a simulated Kafka: 0 violations.",
    "mutations": "Rules of the commit path taken out one by one: the exploration finds every one.",
    "contract-suite": "What the worker relies on, on the simulated Kafka and on a real one, side by side.",
    "guarded": "The default model where the books are right, short, incomplete and absurd; linear beside it.",
    "outlook-real": "The stock outlook on a real year of 4,042 items beside nine baselines; what its parts are worth.",
    "outlook-orders": "Orders by the outlook and by 28-day means on a real year: equal fill rate, less stock.",
    "outlook-shock": "A shop that changes overnight: days until the outlook is right again, beside SES(0.05).",
    "outlook-calibration": "Whether its intervals are honest, by horizon, volume and item; how wide beside true ones.",
    "wrong-uses": "Ten wrong uses, each really done: ended in time, one sentence that says what to do, no traceback.",
    "throughput": "The worker, exactly once, beside bare River, the client's limit, bytewax, Quix Streams and Faust.",
    "latency": "From an event to its prediction in a read_committed reader, over commit intervals, at two rates.",
    "memory": "Resident memory over 10,000,000 events and with 1,000,000 items; the pauses for their checkpoints.",
    "outlook-exact": "kill -9 around and inside the closes of days: each outlook once, to the byte, in the same order.",
    "scale": "1 and 2 workers over one backlog, and a second worker that joins under load: rates, seconds, gaps.",
}


def main() -> int:
    """Run the demonstration named on the command line; without a name, list them."""
    # A shell that starts this in the background has it ignore SIGINT; the simulated shop, which SIGINT ends, would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = sys.argv[1:]
    if not names:
        for name, meaning in DEMONSTRATIONS.items():
            print(f"  make show NAME={name:<14} {meaning}")
        return 0
    (name,) = names
    if name not in DEMONSTRATIONS:
        print(f"NAME={name}: expected one of {', '.join(DEMONSTRATIONS)}", file=sys.stderr)
        return 2
    demonstration = importlib.import_module(f"benchmarks.demonstrations.{name.replace('-', '_')}")
    report = Report(name, seed=demonstration.SEED)
    with contextlib.ExitStack() as stack:
        broker = None
        if getattr(demonstration, "NEEDS_BROKER", True):
            choice = find_broker()
            if not choice.available:
                print(f"NAME={name} needs a real broker: {choice}", file=sys.stderr)
                return 2
            java = {"heap_megabytes": 1024, **getattr(demonstration, "JAVA", {})}
            broker = stack.enter_context(choice.start(**java))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            demonstration.demonstrate(report, broker, directory)
        except BrokerUnavailableError as error:
            print(f"NAME={name} needs brokers of its own: {error}", file=sys.stderr)
            return 2
    report.show()
    print(f"written: {report.write().relative_to(Path.cwd())}")
    return 0 if report.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
