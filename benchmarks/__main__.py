"""Print the table: ours against other servers, row by row.

    python -m benchmarks                                  everything (about an hour)
    python -m benchmarks --rows asgi-get,rsgi-get         some rows
    python -m benchmarks --list                           their names

Servers run on one core and the load on another; runs alternate between the servers, and each
ratio is made from neighbouring runs, so that a noisy machine disturbs both alike. Needs wrk, h2load
(Debian: nghttp2-client), taskset and openssl. The environments are made on first use.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Dict, List, Optional

from . import machine, servers
from .load import LoadError
from .rows import ROWS, Row, Settings, VoidError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default="", help="names, comma separated; a prefix* matches many")
    parser.add_argument("--list", action="store_true", help="print the rows and leave")
    parser.add_argument("--pairs", type=int, default=5, help="rounds per row (default 5)")
    parser.add_argument("--seconds", type=float, default=4, help="of each run (default 4)")
    parser.add_argument("--warmup", type=float, default=2, help="seconds before (default 2)")
    parser.add_argument("--python", default=sys.executable, help="version or path (default: this)")
    parser.add_argument("--ours", help="a Python that has our dependencies: no environment is made")
    parser.add_argument("--peers", help="a Python that has the peers: no environment is made")
    parser.add_argument("--free-threaded", help="a Python without the GIL, for the ft- rows")
    parser.add_argument("--servers", default=",".join(servers.PEERS), help="which peers")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write all values to this file")
    return parser.parse_args()


def chosen(names: str) -> List[Row]:
    if not names:
        return ROWS
    wanted = names.split(",")
    rows = [
        row
        for row in ROWS
        if any(row.name == n or (n.endswith("*") and row.name.startswith(n[:-1])) for n in wanted)
    ]
    if not rows:
        raise SystemExit(f"benchmarks: no row is called {names}; see --list")
    return rows


class Bench:
    """The rows' common ground: interpreters, cores, times."""

    def __init__(self, options: argparse.Namespace, room: Path) -> None:
        self.options = options
        base = servers.interpreter(options.python)
        self.ours = options.ours or servers.environment("ours", base)
        self.peers = options.peers or servers.environment("peers", base)
        self.free: Optional[str] = None
        if options.free_threaded:
            self.free = servers.environment("ours", servers.interpreter(options.free_threaded))
        self.body = room / "body"
        self.body.write_bytes(b"x" * 10_240)
        self.peak: Dict[str, float] = {}

    def measure(self, row: Row) -> Dict[str, List[float]]:
        """Values of each server for one row, round by round; void rounds are left out for all."""
        if row.variants:
            if self.free is None:
                raise servers.UnableError("needs --free-threaded PYTHON")
            return self.alternate(row, dict(row.variants))
        contenders = dict.fromkeys(
            ["ours", *filter(None, self.options.servers.split(","))], row.work
        )
        return self.alternate(row, contenders)

    def python_of(self, name: str, row: Row) -> str:
        if row.variants and self.free is not None:
            return self.free
        return self.ours if name.startswith("ours") else self.peers

    def alternate(self, row: Row, contenders) -> Dict[str, List[float]]:
        options = self.options
        core = None if row.both_cores else options.server_core
        load_core = None if row.both_cores else options.load_core
        settings = Settings(load_core, options.seconds, self.body, self.peak)
        values: Dict[str, List[float]] = {}
        if not row.warm:  # each value needs a fresh process
            for _ in range(options.pairs):
                for name, work in contenders.items():
                    server = servers.running(name, self.python_of(name, row), work, core)
                    with self.leaving_out(row, name, {}), server as fresh:
                        values.setdefault(name, []).append(row.measure(settings, fresh))
            return self.even(values)
        with contextlib.ExitStack() as stack:
            alive = {}
            for name, work in contenders.items():
                server = servers.running(name, self.python_of(name, row), work, core)
                with self.leaving_out(row, name, alive):
                    alive[name] = stack.enter_context(server)
            warm = settings._replace(seconds=options.warmup)
            order = sorted(alive, key=lambda name: name != "granian")  # its peak paces the others
            for name in order:
                with self.leaving_out(row, name, alive):
                    row.measure(warm, alive[name])
            for number in range(options.pairs):
                for name in list(alive) if number % 2 else list(reversed(alive)):
                    with self.leaving_out(row, name, alive):
                        values.setdefault(name, []).append(row.measure(settings, alive[name]))
        return self.even(values)

    @staticmethod
    @contextlib.contextmanager
    def leaving_out(row: Row, name: str, alive):
        """A peer that fails loses its column; if we fail, the row is void."""
        try:
            yield
        except (LoadError, VoidError, servers.UnableError) as reason:
            alive.pop(name, None)
            if name.startswith("ours"):
                raise
            if str(reason):
                print(f"  {row.name}: without {name}: {reason}", file=sys.stderr)

    @staticmethod
    def even(values: Dict[str, List[float]]) -> Dict[str, List[float]]:
        """Keep the servers that gave a value in every round."""
        rounds = len(values.get("ours", []))
        return {name: column for name, column in values.items() if len(column) == rounds}


def ratios(row: Row, values: Dict[str, List[float]]) -> List[float]:
    """Ours to the best of those the row compares with, round by round."""
    others = [n for n in values if n != "ours"] if row.variants else row.against
    columns = [values[name] for name in others if name in values]
    if not columns or "ours" not in values:
        return []
    best = max if row.unit == "/s" else min
    return [mine / best(theirs) for mine, *theirs in zip(values["ours"], *columns)]


def verdict(row: Row, ratio: float) -> str:
    if row.unit == "/s":
        reached = (ratio >= row.bar, ratio >= row.stretch)
    else:
        reached = (ratio <= row.bar, ratio <= row.stretch)
    return "stretch" if all(reached) else "ok" if reached[0] else "MISSED"


def line(row: Row, values: Dict[str, List[float]], columns: List[str]) -> str:
    def cell(name: str) -> str:
        found = values.get(name)
        if found is None and name == "granian" and row.variants:
            found = values.get("ours (1)")
        return f"{statistics.median(found):.4g}" if found else "-"

    spread = ratios(row, values)
    cells = [f"{row.title} ({row.unit})", *(cell(name) for name in columns)]
    if spread:
        middle = statistics.median(spread)
        cells += [f"{middle:.2f} [{min(spread):.2f} to {max(spread):.2f}]", f"{row.bar:.2f}"]
        cells += [f"{row.stretch:.2f}", verdict(row, middle)]
    else:
        cells += ["-", f"{row.bar:.2f}", f"{row.stretch:.2f}", "-"]
    return "| " + " | ".join(cells) + " |"


def commit() -> str:
    command = ["git", "-C", str(servers.ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"


def version_of(python: str) -> str:
    code = "import sys; print(sys.version.split()[0] + sys.abiflags)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> int:
    options = arguments()
    rows = chosen(options.rows)
    if options.list:
        for row in rows:
            print(f"{row.name:15} {row.title} ({row.unit})")
        return 0
    columns = ["ours", *filter(None, options.servers.split(","))]
    results = {}
    with tempfile.TemporaryDirectory() as room:
        bench = Bench(options, Path(room))
        print(f"{commit()}, Python {version_of(bench.ours)}, {machine.describe()}")
        print(
            f"{options.pairs} rounds of {options.seconds:g} s; medians; ratio [lowest to highest]\n"
        )
        head = ["row", *columns, "ratio", "bar", "stretch", ""]
        print("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)
        for row in rows:
            try:
                values = bench.measure(row)
            except (VoidError, LoadError, servers.UnableError) as reason:
                blank = " | - " * (len(columns) + 3)
                print(f"| {row.title}{blank}| void: {reason} |", flush=True)
                continue
            except Exception:
                traceback.print_exc()
                return 1
            results[row.name] = values
            print(line(row, values, columns), flush=True)
    if options.json:
        record = {"commit": commit(), "machine": machine.describe(), "rows": results}
        options.json.write_text(json.dumps(record, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
